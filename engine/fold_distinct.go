package engine

import (
	"maps"
	"slices"

	"muster/query"
)

// MaxDistinct is how many different values the state of a mode or unique leaf keeps: the
// alphabetically first ones (docs/language.md, limits). Which these are does not depend
// on the order in which values come, and a value that one part of a history dropped, the
// whole drops as well, so that states can be merged and parts removed.
const MaxDistinct = query.MaxUnique

// count adds a value that occurs n times.
func (s *State) count(v string, n int64) {
	if s.Counts == nil {
		s.Counts = make(map[string]int64, 4)
	}
	if have, ok := s.Counts[v]; ok {
		s.Counts[v] = have + n
		return
	}
	if len(s.Counts) == MaxDistinct {
		if s.largest == "" {
			s.largest = slices.Max(slices.Collect(maps.Keys(s.Counts)))
		}
		if v > s.largest {
			s.Dropped += n
			return
		}
		s.Dropped += s.Counts[s.largest]
		delete(s.Counts, s.largest)
		s.largest = ""
	}
	s.Counts[v] = n
}

// uncount takes the values of a part of the history out. It answers false when one that
// was dropped would have to come back, and which is not known.
func (s *State) uncount(o State) bool {
	for v, n := range o.Counts {
		have, ok := s.Counts[v]
		switch {
		case !ok:
			s.Dropped -= n
		case have == n:
			delete(s.Counts, v)
			s.largest = ""
		default:
			s.Counts[v] = have - n
		}
	}
	s.Dropped -= o.Dropped
	return s.Dropped == 0 || len(s.Counts) == MaxDistinct
}

func (s *State) mode(r query.Reducer) query.Value {
	best, most := "", int64(0)
	for v, n := range s.Counts {
		if n > most || n == most && v < best {
			best, most = v, n
		}
	}
	if most == 0 || most < int64(r.AtLeast) {
		return query.Null()
	}
	if r.As == query.AsNumber {
		if d, ok := query.Text(best).Decimal(); ok {
			return query.Number(d)
		}
	}
	return query.Text(best)
}

func (s *State) unique() query.Value {
	if len(s.Counts) == 0 {
		return query.Null()
	}
	texts := make([]string, 0, len(s.Counts))
	for v := range s.Counts {
		texts = append(texts, v)
	}
	slices.Sort(texts)
	values := make([]query.Value, len(texts))
	for i, t := range texts {
		values[i] = query.Text(t)
	}
	return query.List(values)
}
