package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/scheduler"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"0 * * * *", "0 * * * *"},
		{"  0\t*  * * *\n", "0 * * * *"},
		{"@hourly", "0 * * * *"},
		{"@Daily", "0 0 * * *"},
		{"@midnight", "0 0 * * *"},
		{"@weekly", "0 0 * * 0"},
		{"@monthly", "0 0 1 * *"},
		{"@yearly", "0 0 1 1 *"},
		{"@annually", "0 0 1 1 *"},
		{"* * * * *", "* * * * *"},
		{"*/1 ? */1 * ?", "* * * * *"},
		{"0,15,30,45 * * * *", "*/15 * * * *"},
		{"*/15 * * * *", "*/15 * * * *"},
		{"5/20 * * * *", "5,25,45 * * * *"},
		{"0,30 8-18 * * MON-FRI", "0,30 8-18 * * 1-5"},
		{"0 9 1,15 jan,Jul sun", "0 9 1,15 1,7 0"},
		{"0 12 1-31 * mon", "0 12 1-31 * 1"}, // every day: two restricted fields are joined by OR
		{"0 12 * * 0-6", "0 12 * * 0-6"},
		{"0-59 0-23 */2 1-12 */3", "* * */2 * */3"},
		{"0 0 29 2 *", "0 0 29 2 *"},
		{"7,8 * * * *", "7,8 * * * *"},
		{"@every 15m", "@every 15m"},
		{"@every 60m", "@every 1h"},
		{"@every 90m", "@every 1h30m"},
		{"@every 10h0m", "@every 10h"},
		{"@every 48h", "@every 48h"},
	} {
		s, err := scheduler.Parse(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := s.String(); got != test.want {
			t.Errorf("%q: canonical %q, want %q", test.text, got, test.want)
		}
		var back scheduler.Schedule
		if text, _ := s.MarshalText(); back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%q: %s is another schedule when it is read back", test.text, text)
		}
	}
}

func TestParseExplains(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "write five fields"},
		{"   ", "write five fields"},
		{"0 0 * * * *", "leave the seconds out"},
		{"* * * *", "4 fields instead of five"},
		{"hourly", "1 fields instead of five"},
		{"@reboot", "unrecognized descriptor: @reboot"},
		{"60 * * * *", "end of range (60) above maximum (59): 60"},
		{"0 25 * * *", "above maximum (23)"},
		{"0 0 0 * *", "below minimum (1)"},
		{"0 0 * 13 *", "above maximum (12)"},
		{"0 0 * * 7", "Sunday is 0"},
		{"0 0 * * 5-7", "Sunday is 0"},
		{"*/0 * * * *", "step of range should be a positive number"},
		{"5-1 * * * *", "beyond end of range"},
		{"*-5 * * * *", "a star stands for all values"},
		{"*5 * * * *", "a star stands for all values"},
		{", * * * *", "a value is missing"},
		{"1, * * * *", "a value is missing"},
		{"0 0 L * *", "L, W and # are not known"},
		{"0 0 * * 5#2", "L, W and # are not known"},
		{"0 0 15w * *", "L, W and # are not known"},
		{"0 0 * foo *", "failed to parse int from foo"},
		{"0 0 30 2 *", "there is no such day"},
		{"0 0 31 4,6,9,11 *", "there is no such day"},
		{"TZ=Asia/Tokyo 0 5 * * *", "leave TZ=ASIA/TOKYO out"},
		{"CRON_TZ=UTC 0 5 * * *", "times are UTC"},
		{"TZ=UTC", "times are UTC"},
		{"@every", "as one word"},
		{"@every 1h 30m", "as one word"},
		{"@every soon", "is no interval"},
		{"@every 30s", "the shortest interval is a minute"},
		{"@every -1h", "the shortest interval is a minute"},
		{"@every 90s", "whole minutes"},
		{strings.Repeat("0,", 200) + "0 * * * *", "longer than 200 bytes"},
	} {
		s, err := scheduler.Parse(test.text)
		if err == nil {
			t.Errorf("%q was read as %q", test.text, s)
		} else if !strings.Contains(err.Error(), test.want) || len(err.Error()) > 400 {
			t.Errorf("%q: %v; want %q", test.text, err, test.want)
		}
	}
}

// scheduleText draws cron texts.
func scheduleText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`@every [1-9][0-9]{0,3}m`),
		rapid.Custom(func(t *rapid.T) string {
			field := func(name, values string) string {
				return rapid.StringMatching(`\*|\*|\*/[1-9]|(`+values+`)(,(`+values+`)){0,3}|[1-3]-[3-6](/2)?`).Draw(t, name)
			}
			return strings.Join([]string{
				field("minute", `[0-9]|[1-5][0-9]`), field("hour", `[0-9]|1[0-9]|2[0-3]`),
				field("day", `[1-9]|[12][0-9]|3[01]`), field("month", `[1-9]|1[0-2]`), field("weekday", `[0-6]`),
			}, " ")
		}),
	)
}

// parsed draws schedules that have slots.
func parsed() *rapid.Generator[scheduler.Schedule] {
	return rapid.Custom(func(t *rapid.T) scheduler.Schedule {
		s, err := scheduler.Parse(scheduleText().Draw(t, "text"))
		if err != nil {
			t.Skip(err)
		}
		return s
	})
}

// instant draws instants from 1950 to 2150, some of them whole minutes.
func instant() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.Int64Range(-20*365*86400, 180*365*86400).Draw(t, "seconds")
		if rapid.Bool().Draw(t, "whole") {
			return time.Unix(seconds-seconds%60, 0)
		}
		return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
	})
}

func TestCanonicalTextIsTheSchedule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := parsed().Draw(rt, "schedule")
		back, err := scheduler.Parse(s.String())
		if err != nil || back != s || back.String() != s.String() {
			rt.Fatalf("%s is read as %s (%v)", s, back, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"0 * * * *", "@every 15m", "*/5 1-3,7 L * sun", "TZ=UTC @daily", "0 0 29 2 *"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scheduler.Parse(text)
		if err != nil {
			return
		}
		if back, err := scheduler.Parse(s.String()); err != nil || back != s {
			t.Errorf("%q: canonical %q, which is read as %q (%v)", text, s, back, err)
		}
		if next := s.Next(time.Unix(0, 0)); next.IsZero() || !s.Latest(next).Equal(next) {
			t.Errorf("%q: the first slot is %v", text, next)
		}
	})
}
