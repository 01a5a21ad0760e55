package mixpanel

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// repeated is n times text, with commas between; %d is the number.
func repeated(n int, text string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = strings.ReplaceAll(text, "%d", fmt.Sprint(i))
	}
	return strings.Join(parts, ",")
}

func TestLimits(t *testing.T) {
	track := func(properties string) string {
		return `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{` + properties + `}}`
	}
	identify := func(traits string) string {
		return `{"type":"identify","messageId":"m","userId":"u","traits":{` + traits + `}}`
	}
	const ours = 7 // $insert_id, token, distinct_id, time, ip, mp_lib, $user_id
	tests := []struct {
		name string
		call string
		code Code
		warn string
	}{
		{"254 properties with ours", track(repeated(254-ours, `"p%d":1`)), "", ""},
		{"255 properties with ours", track(repeated(255-ours, `"p%d":1`)), CodeTooManyNames, ""},
		{"far too many properties", track(repeated(100_000, `"p%d":1`)), CodeTooManyNames, ""},
		{"254 elements", track(`"l":[` + repeated(254, "1") + `]`), "", ""},
		{"255 elements", track(`"l":[` + repeated(255, "1") + `]`), CodeListTooLong, ""},
		{"255 elements inside", track(`"o":{"l":[[` + repeated(255, "1") + `]]}`), CodeListTooLong, ""},
		{"254 names", track(`"o":{` + repeated(254, `"k%d":1`) + `}`), "", ""},
		{"255 names", track(`"o":{` + repeated(255, `"k%d":1`) + `}`), CodeObjectTooLarge, ""},
		{"a text of 255 bytes", track(`"s":"` + strings.Repeat("x", 255) + `"`), "", ""},
		{"a text of 255 bytes in escapes", track(`"s":"` + strings.Repeat(`\u0041`, 255) + `"`), "", ""},
		{"a text of 256 bytes", track(`"s":"` + strings.Repeat("x", 256) + `"`), "", "truncated_text"},
		{"a list of 9 KB", track(`"l":["` + repeated(40, strings.Repeat("x", 230)+`","`) + `"]`), "", "large_list"},
		{"1 MB", track(`"s":"` + strings.Repeat("x", 1_000_000) + `"`), CodeTooLarge, ""},
		{"just below 1 MB", track(`"s":"` + strings.Repeat("x", 999_000) + `"`), "", "truncated_text"},
		{"many traits", identify(repeated(2000, `"p%d":1`)), "", "many_properties"},
		{"very many traits", identify(repeated(60_000, `"p%d":1`)), "", "many_properties"},
		{"a list of 300 KB", identify(`"l":[` + repeated(30_000, "1234567890") + `]`), CodeTooLarge, ""},
		{"a list of 200 KB", identify(`"l":[` + repeated(20_000, "12345%d") + `]`), "", ""},
		{"a profile of 1 MB", identify(`"s":"` + strings.Repeat("x", 1_000_000) + `"`), CodeTooLarge, ""},
	}
	m, err := NewMapper(Settings{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			messages, err := m.Map(readCall(t, test.call), testNow)
			var r *Rejection
			if errors.As(err, &r); test.code != "" && (r == nil || r.Code != test.code || messages != nil) {
				t.Fatalf("got %v, want %s", err, test.code)
			}
			if test.code != "" {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warnings := strings.Join(messages[0].Warnings.Names(), " ")
			if !strings.Contains(warnings, test.warn) || (test.warn == "") != (warnings == "") {
				t.Errorf("warnings are %q, want %q", warnings, test.warn)
			}
		})
	}
}

// TestARetryMapsToTheSameBytes: what Mixpanel recognises a repetition by must not depend on
// when the call is sent, not even when it claims to come from the future.
func TestARetryMapsToTheSameBytes(t *testing.T) {
	m, err := NewMapper(Settings{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, timestamp := range []string{"2026-03-10T11:00:00Z", "2026-03-10T12:59:00Z", "2026-03-10T14:00:00Z"} {
		c := readCall(t, `{"type":"track","messageId":"m","event":"E","userId":"u","receivedAt":"2026-03-10T12:00:00Z","timestamp":"`+timestamp+`"}`)
		first, err := m.Map(c, testNow)
		if err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{time.Second, 3 * time.Hour, 30 * 24 * time.Hour} {
			if again, err := m.Map(c, testNow.Add(later)); err != nil || string(again[0].Body) != string(first[0].Body) {
				t.Errorf("%s: %v later it is %s (%v), was %s", timestamp, later, again[0].Body, err, first[0].Body)
			}
		}
	}
}

func TestWarningNames(t *testing.T) {
	all := Warnings(1<<len(warningNames) - 1)
	if names := all.Names(); len(names) != len(warningNames) || all != WarnFutureTime<<1-1 {
		t.Errorf("%d names for the warnings up to %b", len(names), WarnFutureTime)
	}
}

func TestNameSetFindsNamesAtAnySize(t *testing.T) {
	var set nameSet
	for round := range 2 {
		for i := range 3 * fewNames {
			name := []byte(fmt.Sprint("n", i))
			if !set.add(name) || set.add(name) || set.add([]byte("n0")) {
				t.Fatalf("round %d: name %d", round, i)
			}
		}
		set.reset()
	}
}

func TestPlaceholders(t *testing.T) {
	for _, id := range []string{
		"00000000-0000-0000-0000-000000000000", "anon", "Anonymous", "nil", "none", "NULL", "n/a", "NA", "undefined", "Unknown",
		"<nil>", "0", "-1", "true", "False", "[]", "{}",
	} {
		if !refusedID(id) {
			t.Errorf("%q passes", id)
		}
	}
	for _, id := range []string{"anon-55", "1", "u_77", "00000000-0000-0000-0000-000000000001", "nullable"} {
		if refusedID(id) {
			t.Errorf("%q is refused", id)
		}
	}
}

func TestBrowserOf(t *testing.T) {
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) "
	for userAgent, want := range map[string][2]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/128.0.6613.84 Safari/537.36":                                                       {"Chrome", "128.0.6613.84"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/128.0.0.0 Safari/537.36 Edg/128.0.2739.42":                                         {"Microsoft Edge", "128.0.2739.42"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763":                                         {"Microsoft Edge", "18.17763"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/127.0.0.0 Safari/537.36 OPR/113.0.0.0":                                             {"Opera", "113.0.0.0"},
		"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S911B) " + webkit + "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36":                        {"Samsung Internet", "25.0"},
		"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0":                                                                           {"Firefox", "130.0"},
		"Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0":                                                                             {"Firefox", "130.0"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/129.0 Mobile/15E148 Safari/605.1.15":        {"Firefox iOS", "129.0"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/128.0.6613.98 Mobile/15E148 Safari/604.1":   {"Chrome iOS", "128.0.6613.98"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1":          {"Mobile Safari", "17.6"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15":                            {"Safari", "17.6"},
		"Mozilla/5.0 (Linux; U; Android 4.0.3; de-de) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30":                             {"Android Mobile", "4.0"},
		"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko":                                                                            {"Internet Explorer", "11.0"},
		"Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)":                                                                                               {"Internet Explorer", "8.0"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/475.0.0.30.109;x]": {"Facebook Mobile", "475.0.0.30.109"},
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                         {"", ""},
		"okhttp/4.12.0": {"", ""},
	} {
		if name, version := browserOf(userAgent); name != want[0] || version != want[1] {
			t.Errorf("%s\nis %q %q, want %q", userAgent, name, version, want)
		}
	}
}
