package mixpanel

import (
	"cmp"
	"slices"
	"strings"
)

// page maps a page or screen call; noun is what its events call it.
func (d *draft) page(noun string) error {
	name, category := filled(d.call.Name), filled(d.call.Category)
	names := d.pageEvents(noun, name, cmp.Or(category, d.propertyCategory()))
	if len(names) == 0 {
		return nil
	}
	return d.events(names, name, category)
}

// propertyCategory is the category that stands among the properties, as some libraries send it.
func (d *draft) propertyCategory() string {
	value := filledString(pick(d.call.Properties, "category"))
	if value == nil {
		return ""
	}
	return filled(string(unquote(value)))
}

// filled is s, or "" when s is blank.
func filled(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return s
}

// pageEvents are the names of the events that the page options ask for, each once.
func (d *draft) pageEvents(noun, name, category string) []string {
	var names []string
	add := func(n string) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if d.consolidated || d.allPages {
		add("Loaded a " + noun)
	}
	if d.categorizedPages && category != "" {
		if name != "" {
			add("Viewed " + category + " " + name + " " + noun)
		} else {
			add("Viewed " + category + " " + noun)
		}
	}
	if d.namedPages && name != "" {
		add("Viewed " + name + " " + noun)
	}
	return names
}
