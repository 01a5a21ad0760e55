package query

import "strings"

// cycles refuses a definition that reads its own value, directly or through the
// definitions of other keys.
func (c *checker) cycles() {
	if c.opts.Key == "" {
		return
	}
	seen := map[string]bool{}
	for _, key := range c.result.Traits {
		if way := c.wayTo(c.opts.Key, key, seen); way != nil {
			way = append([]string{c.opts.Key}, way...)
			c.errorf(c.traitAt[key], CodeCycle, "", "reading %s would create a cycle: %s", quote(shorten(key)), strings.Join(way, " -> "))
		}
	}
}

// wayTo is the chain of keys from one to the goal, both included; nil if none.
func (c *checker) wayTo(goal, from string, seen map[string]bool) []string {
	if from == goal {
		return []string{goal}
	}
	if seen[from] || c.opts.Reads == nil {
		return nil
	}
	seen[from] = true
	for _, next := range c.opts.Reads(from) {
		if way := c.wayTo(goal, next, seen); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}
