package api

import (
	"cmp"
	"slices"
)

// Limits of a page of the admin API.
const (
	standardCount = 100
	maxCount      = 1000
)

// pagination says where a page is. Lists of which all is known say how long they are.
type pagination struct {
	Current      string `json:"current"` // the cursor of this page; "" is the first
	Next         string `json:"next,omitempty"`
	TotalEntries *int   `json:"totalEntries,omitempty"`
}

// pageParams are the parameters of a list that comes in pages.
func pageParams(more ...string) []string { return append(more, admin.countParam, admin.cursorParam) }

// listed answers with a page of a list that read reads: of at most so many entries, from
// after a place on; nil: from the beginning. placeOf is the place of an entry.
func listed[T, P any](r *request, name string, read func(after *P, count int) ([]T, error), placeOf func(T) P) (map[string]any, error) {
	count, err := r.number(admin.countParam, standardCount, 1, maxCount)
	if err != nil {
		return nil, err
	}
	var after *P
	var place P
	if from, err := r.place(&place); err != nil {
		return nil, err
	} else if from {
		after = &place
	}
	list, err := read(after, count+1)
	if err != nil {
		return nil, err
	}
	p := pagination{Current: r.query.Get(admin.cursorParam)}
	if len(list) > count {
		list = list[:count]
		if p.Next, err = r.seal(placeOf(list[count-1])); err != nil {
			return nil, err
		}
	}
	if list == nil {
		list = []T{}
	}
	return map[string]any{name: list, "pagination": p}, nil
}

// listedByName is listed for a list of which all is known.
func listedByName[T any](r *request, name string, all []T, nameOf func(T) string) (map[string]any, error) {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(nameOf(a), nameOf(b)) })
	answer, err := listed(r, name, func(after *string, count int) ([]T, error) {
		from := 0
		if after != nil {
			from, _ = slices.BinarySearchFunc(all, *after+"\x00", func(e T, name string) int { return cmp.Compare(nameOf(e), name) })
		}
		return all[from:min(from+count, len(all))], nil
	}, nameOf)
	if err != nil {
		return nil, err
	}
	p := answer["pagination"].(pagination)
	p.TotalEntries = new(len(all))
	answer["pagination"] = p
	return answer, nil
}
