package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// numbers is a flag that takes several.
type numbers []int

// String implements flag.Value.
func (n *numbers) String() string {
	texts := make([]string, len(*n))
	for i, v := range *n {
		texts[i] = strconv.Itoa(v)
	}
	return strings.Join(texts, ",")
}

// Set implements flag.Value.
func (n *numbers) Set(text string) error {
	*n = nil
	for t := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(t), "_", ""))
		if err != nil || v < 1 {
			return fmt.Errorf("%q is not a positive number", t)
		}
		*n = append(*n, v)
	}
	return nil
}

// median of durations in milliseconds.
func median(all []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	mid := sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		mid = (mid + sorted[len(sorted)/2-1]) / 2
	}
	return float64(mid.Microseconds()) / 1e3
}
