package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Retention says for how long what is kept that could be kept for good, as a number of
// days: 400 days. Empty: for good.
type Retention struct {
	// Events is for the log of events. What a definition looks at stays in any case.
	Events string `yaml:"events"`
	// Values is for the history of values: who was in which audience when.
	Values string `yaml:"values"`
}

var daysRule = regexp.MustCompile(`^([1-9][0-9]{0,5}) days?$`)

// days reads a number of days; 0 if the text is empty.
func days(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	m := daysRule.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no number of days; write it like 400 days, or leave it out to keep everything", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 36500 {
		return 0, fmt.Errorf("%s is too long: 36500 days is the most; leave it out to keep everything", text)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// Times are the retention as durations. Of a text that [Config.Validate] finds fault with,
// everything is kept.
func (r Retention) Times() struct{ Events, Values time.Duration } {
	events, _ := days(r.Events)
	values, _ := days(r.Values)
	return struct{ Events, Values time.Duration }{events, values}
}

func (c *Config) retentionFaults(f *faults) {
	for _, one := range []struct{ field, text string }{{"events", c.Retention.Events}, {"values", c.Retention.Values}} {
		if _, err := days(one.text); err != nil {
			f.add("retention."+one.field, "%w", err)
		}
	}
}
