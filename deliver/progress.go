package deliver

import (
	"cmp"
	"slices"

	"muster/engine"
)

// resolve puts seqs, ascending, among the resolved entries after the position.
func (s *State) resolve(seqs []int64) {
	if len(seqs) == 0 {
		return
	}
	s.Ahead = append(slices.Clone(s.Ahead), seqs...)
	slices.Sort(s.Ahead)
}

// advance moves the position over the resolved entries that nothing open
// precedes: those up to read, the last entry that was read, and before the first
// open one. It answers whether there were any.
func (s *State) advance(open []Entry, read int64) bool {
	n := 0
	for n < len(s.Ahead) && s.Ahead[n] <= read && (len(open) == 0 || s.Ahead[n] < open[0].Seq) {
		n++
	}
	if n == 0 {
		return false
	}
	s.Position = max(s.Position, s.Ahead[n-1])
	s.Ahead = append([]int64(nil), s.Ahead[n:]...) // nil when empty
	return true
}

// resolved says whether the entry needs no further work.
func (s *State) resolved(seq int64) bool {
	if seq <= s.Position {
		return true
	}
	_, found := slices.BinarySearch(s.Ahead, seq)
	return found
}

// tally counts outcomes by verdict and code.
type tally map[Count]int // the key's N is 0

func (t tally) add(v engine.Verdict, code string) {
	t[Count{Verdict: v, Code: code}]++
}

// counts returns the tally in a fixed order.
func (t tally) counts() []Count {
	counts := make([]Count, 0, len(t))
	for c, n := range t {
		c.N = n
		counts = append(counts, c)
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Code, b.Code))
	})
	return counts
}
