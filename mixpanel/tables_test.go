package mixpanel

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/event"
)

// Every combination of the page options with every page: whether it has a category, a name, both
// or neither. Here the rule is written down as the table that people are given; "@" stands for
// Page or Screen.
func TestPageOptions(t *testing.T) {
	const loaded, full, category, name = "Loaded a @", "Viewed Docs Index @", "Viewed Docs @", "Viewed Index @"
	pages := []struct{ category, name string }{{"Docs", "Index"}, {"", "Index"}, {"Docs", ""}, {"", ""}}
	// By whether one of consolidated and all is on, and by categorized and named.
	table := map[string][4][]string{
		"000": {{}, {}, {}, {}},
		"010": {{full}, {}, {category}, {}},
		"001": {{name}, {name}, {}, {}},
		"011": {{full, name}, {name}, {category}, {}},
		"100": {{loaded}, {loaded}, {loaded}, {loaded}},
		"110": {{loaded, full}, {loaded}, {loaded, category}, {loaded}},
		"101": {{loaded, name}, {loaded, name}, {loaded}, {loaded}},
		"111": {{loaded, full, name}, {loaded, name}, {loaded, category}, {loaded}},
	}
	known := func(options string) [4][]string {
		switch {
		case options == "u000": // untouched
			return table["100"]
		case options[0] == '1' || options[1] == '1':
			return table["1"+options[2:]]
		}
		return table["0"+options[2:]]
	}
	on := func(c byte) bool { return c == '1' }
	for _, consolidated := range "u01" {
		for _, rest := range []string{"000", "001", "010", "011", "100", "101", "110", "111"} {
			options := string(consolidated) + rest // consolidated, all, categorized, named
			s := Settings{
				Token: "tok_demo", TrackAllPages: on(rest[0]), TrackCategorizedPages: on(rest[1]), TrackNamedPages: on(rest[2]),
			}
			if consolidated != 'u' {
				s.ConsolidatedPageCalls = new(consolidated == '1')
			}
			m, err := NewMapper(s)
			if err != nil {
				t.Fatal(err)
			}
			for i, page := range pages {
				for noun, kind := range map[string]event.Type{"Page": event.Page, "Screen": event.Screen} {
					messages, err := m.Map(&event.Call{Type: kind, MessageID: "m", UserID: "u", Timestamp: testNow, Name: page.name, Category: page.category}, testNow)
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, o := range messages {
						got = append(got, strings.ReplaceAll(decoded(t, string(o.Body)).(map[string]any)["event"].(string), noun, "@"))
					}
					if want := known(options)[i]; !slices.Equal(got, want) {
						t.Errorf("%s (%s, %s) with %s: %q, want %q", noun, page.category, page.name, options, got, want)
					}
				}
			}
		}
	}
}

// Every row of the table of context properties: one fact at a time, on an event and on a
// profile, on each platform. A column is what it becomes there; "" is nothing.
func TestEveryFactOfTheContext(t *testing.T) {
	const userAgent = "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.1 Safari/537.36"
	rows := []struct {
		context, value                    string
		event, profile                    string // everywhere
		iosEvent, iosProfile              string // besides, on iOS
		androidEvent, androidProfileNames string // besides, on Android
	}{
		{context: `"os":{"name":"x"}`, event: "$os", profile: "$os", androidProfileNames: "$android_os"},
		{context: `"os":{"version":"x"}`, event: "$os_version", iosProfile: "$ios_version", androidProfileNames: "$android_os_version"},
		{context: `"userAgent":"` + userAgent + `"`, event: "$browser $browser_version", profile: "$browser $browser_version"},
		{context: `"page":{"url":"x"}`, event: "$current_url"},
		{context: `"page":{"referrer":"x"}`, event: "$referrer"},
		{context: `"referrer":{"url":"x"}`, event: "$referrer"},
		{context: `"device":{"name":"x"@}`, event: "$device"},
		{context: `"device":{"manufacturer":"x"@}`, event: "$manufacturer", profile: "$manufacturer", androidProfileNames: "$android_manufacturer"},
		{context: `"device":{"model":"x"@}`, event: "$model", profile: "$model", iosProfile: "$ios_device_model", androidProfileNames: "$android_model"},
		{context: `"device":{"advertisingId":"x"@}`, iosEvent: "$ios_ifa", iosProfile: "$ios_ifa"},
		{context: `"device":{"id":"x"@}`},
		{context: `"device":{"brand":"x"@}`},
		{context: `"network":{"carrier":"x"}`, event: "$carrier", profile: "$carrier"},
		{context: `"network":{"wifi":true}`, event: "$wifi", profile: "$wifi"},
		{context: `"network":{"bluetooth":true}`, event: "$bluetooth_enabled"},
		{context: `"network":{"cellular":true}`, androidEvent: "$has_telephone"},
		{context: `"screen":{"width":7}`, event: "$screen_width", profile: "$screen_width"},
		{context: `"screen":{"height":7}`, event: "$screen_height", profile: "$screen_height"},
		{context: `"screen":{"density":7}`, event: "$screen_dpi"},
		{context: `"app":{"version":"x"}`, event: "$app_version_string", iosProfile: "$ios_app_release", androidProfileNames: "$android_app_version"},
		{context: `"app":{"build":"x"}`, event: "$app_build_number", iosProfile: "$ios_app_version", androidProfileNames: "$android_app_version_code"},
		{context: `"library":{"name":"x","version":"1"}`},
		{context: `"campaign":{"name":"x"}`, event: "utm_campaign"},
		{context: `"campaign":{"source":"x"}`, event: "utm_source"},
		{context: `"campaign":{"medium":"x"}`, event: "utm_medium"},
		{context: `"campaign":{"term":"x"}`, event: "utm_term"},
		{context: `"campaign":{"content":"x"}`, event: "utm_content"},
		{context: `"campaign":{"id":"x"}`},
		{context: `"locale":"x"`},
		{context: `"timezone":"x"`},
		{context: `"location":{"city":"x"}`},
		{context: `"page":{"title":"x","path":"x","search":"x"}`},
	}
	m, err := NewMapper(Settings{Token: "tok_demo"})
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string]bool{ // on every event or profile record
		"$insert_id": true, "token": true, "distinct_id": true, "$user_id": true, "time": true, "ip": true, "mp_lib": true,
	}
	for _, r := range rows {
		for _, platform := range []string{"", "ios", "android"} {
			context := r.context
			if strings.Contains(context, "@") {
				context = strings.ReplaceAll(context, "@", fmt.Sprintf(`,"type":%q`, platform))
			} else {
				context += fmt.Sprintf(`,"device":{"type":%q}`, platform)
			}
			onEvent, onProfile := strings.Fields(r.event), strings.Fields(r.profile)
			switch platform {
			case "ios":
				onEvent, onProfile = append(onEvent, strings.Fields(r.iosEvent)...), append(onProfile, strings.Fields(r.iosProfile)...)
			case "android":
				onEvent, onProfile = append(onEvent, strings.Fields(r.androidEvent)...), append(onProfile, strings.Fields(r.androidProfileNames)...)
			}
			for _, c := range []struct {
				call, in string
				want     []string
			}{
				{`{"type":"track","event":"E","messageId":"m","userId":"u","context":{` + context + `}}`, "properties", onEvent},
				{`{"type":"identify","messageId":"m","userId":"u","context":{` + context + `}}`, "$set", onProfile},
			} {
				messages, err := m.Map(readCall(t, c.call), testNow)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, o := range messages {
					names, _ := decoded(t, string(o.Body)).(map[string]any)[c.in].(map[string]any)
					for n := range names {
						if !plain[n] {
							got = append(got, n)
						}
					}
				}
				slices.Sort(got)
				slices.Sort(c.want)
				if !slices.Equal(got, c.want) {
					t.Errorf("%s on %q: %s has %q, want %q", r.context, platform, c.in, got, c.want)
				}
			}
		}
	}
}
