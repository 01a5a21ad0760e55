package ingest

import (
	"context"
	"errors"
	"fmt"
)

// store gives items to the sink. If the sink finds a call among them that it can
// never store, the items are stored in halves until that call stands alone and is
// rejected. An error that comes up between halves leaves the earlier ones stored;
// when the items are sent again, their message ids make them duplicates.
func store(ctx context.Context, sink Sink, items []Item) ([]Result, error) {
	if len(items) == 0 {
		return nil, nil
	}
	results, err := sink.Ingest(ctx, items)
	switch {
	case err == nil && len(results) != len(items):
		return nil, fmt.Errorf("the sink returned %d results for %d calls", len(results), len(items))
	case err == nil:
		return results, nil
	case !errors.Is(err, ErrUnstorable):
		return nil, err
	case len(items) == 1:
		return []Result{{Outcome: Rejected, Code: CodeUnstorable}}, nil
	}
	half := len(items) / 2
	first, err := store(ctx, sink, items[:half])
	if err != nil {
		return nil, err
	}
	second, err := store(ctx, sink, items[half:])
	if err != nil {
		return nil, err
	}
	return append(first[:half:half], second...), nil
}
