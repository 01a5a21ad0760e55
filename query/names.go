package query

// role is what a function does in a chain.
type role uint8

const (
	roleExtractor role = iota
	roleFilter
	roleReducer
	roleComparison
)

// functions are all names of the language.
var functions = map[string]role{
	"event": roleExtractor, "trait": roleExtractor, "property": roleExtractor,
	"context": roleExtractor, "literal": roleExtractor, "entity": roleExtractor,

	"where": roleFilter, "sources": roleFilter, "within": roleFilter, "between": roleFilter,
	"expires_after": roleFilter,

	string(OpCount): roleReducer, string(OpSum): roleReducer, string(OpAvg): roleReducer,
	string(OpMin): roleReducer, string(OpMax): roleReducer, string(OpFirst): roleReducer,
	string(OpLast): roleReducer, string(OpMode): roleReducer, string(OpUnique): roleReducer,

	string(equals): roleComparison, string(differs): roleComparison,
	string(greaterThan): roleComparison, string(atLeast): roleComparison,
	string(lessThan): roleComparison, string(atMost): roleComparison,
	string(absent): roleComparison, string(exists): roleComparison,
	string(contains): roleComparison, string(omits): roleComparison,
	string(startsWith): roleComparison, string(endsWith): roleComparison,
	string(oneOf): roleComparison, string(noneOf): roleComparison,
	string(beforeDate): roleComparison, string(afterDate): roleComparison,
	string(withinLast): roleComparison, string(withinNext): roleComparison,
	string(beforeLast): roleComparison, string(afterNext): roleComparison,
}

// aliases are older names, read but never printed.
var aliases = map[string]string{
	"eq": "equals", "neq": "differs", "gt": "greater_than", "gte": "at_least",
	"lt": "less_than", "lte": "at_most", "is_null": "absent", "is_set": "exists",
	"contains_one": "contains",
}

// signs are the comparisons that have one; they are printed with it.
var signs = map[string]relation{
	"=": equals, "!=": differs, ">": greaterThan, ">=": atLeast, "<": lessThan, "<=": atMost,
}

var signOf = func() map[relation]string {
	m := make(map[relation]string, len(signs))
	for sign, r := range signs {
		m[r] = sign
	}
	return m
}()

// synonyms are what people try, and what it is called here.
var synonyms = map[string]string{
	"average": "avg", "mean": "avg", "total": "sum", "minimum": "min", "maximum": "max",
	"most_frequent": "mode", "distinct": "unique", "unique_list": "unique", "size": "count", "length": "count",
	"filter": "where", "having": "where", "since": "within", "during": "within", "in_last": "within",
	"source": "sources", "session": "expires_after", "followed_by": "where",
	"is": "equals", "equal": "equals", "not_equals": "differs", "not_equal": "differs", "is_not": "differs",
	"ne": "differs", "ge": "at_least", "le": "at_most",
	"greater_than_or_equal": "at_least", "less_than_or_equal": "at_most", "more_than": "greater_than",
	"includes": "contains", "like": "contains", "contains_any": "contains",
	"not_contains": "omits", "does_not_contain": "omits", "excludes": "omits",
	"in": "one_of", "any_of": "one_of", "not_in": "none_of", "not_one_of": "none_of",
	"is_not_null": "exists", "not_null": "exists", "is_not_set": "absent", "not_exists": "absent",
	"is_empty": "absent", "begins_with": "starts_with", "prefix": "starts_with", "suffix": "ends_with",
	"before": "before_date", "after": "after_date",
	"track": "event", "events": "event", "user_trait": "trait", "traits": "trait",
	"properties": "property", "prop": "property", "value": "literal",
}

// suggest is the name that was probably meant, among those of the given roles;
// empty if nothing comes near.
func suggest(name string, roles ...role) string {
	fits := func(candidate string) bool {
		r, ok := functions[candidate]
		for _, wanted := range roles {
			if ok && r == wanted {
				return true
			}
		}
		return false
	}
	lower := lowered(name)
	if s := synonyms[lower]; fits(s) {
		return s
	}
	best, bestDistance := "", 1+max(1, min(2, len(name)/3))
	for candidate := range functions {
		if !fits(candidate) {
			continue
		}
		d := distance(lower, candidate, bestDistance+1)
		if d < bestDistance || d == bestDistance && best != "" && candidate < best {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// lowered is a name in the language's own spelling: greaterThan is greater_than.
func lowered(name string) string {
	out := make([]byte, 0, len(name)+4)
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			if i > 0 && 'a' <= name[i-1] && name[i-1] <= 'z' {
				out = append(out, '_')
			}
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return string(out)
}

// distance counts the edits (insert, delete, replace, swap neighbours) from a to b,
// or returns limit if there are at least that many.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
