package event

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestClockSkew(t *testing.T) {
	for _, tt := range []struct{ name, original, sent, received, want string }{
		{"first payload", "2026-01-01T10:00:00.152Z", "2026-01-01T10:00:00.169Z", "2026-01-01T10:00:00.266Z", "2026-01-01T10:00:00.249Z"},
		{"second payload", "2026-01-01T10:44:40.184Z", "2026-01-01T10:44:40.203Z", "2026-01-01T10:44:40.452Z", "2026-01-01T10:44:40.433Z"},
		{"sentAt unknown", "2026-01-01T10:00:00.152999Z", "", "2026-01-01T10:00:00.266Z", "2026-01-01T10:00:00.152Z"},
		{"original unknown", "", "2026-01-01T10:00:00.169Z", "2026-01-01T10:00:00.266Z", "2026-01-01T10:00:00.266Z"},
		{"clock an hour ahead", "2026-01-01T11:00:00Z", "2026-01-01T11:00:05Z", "2026-01-01T10:00:06Z", "2026-01-01T10:00:01Z"},
		{"clock in 1970", "1970-01-01T00:00:05Z", "1970-01-01T00:00:09Z", "2026-01-01T10:00:06Z", "2026-01-01T10:00:02Z"},
		{"two years old, sent now", "2024-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00.080Z", "2024-01-01T10:00:00.080Z"},
		{"zones differ", "2026-01-01T12:00:00+02:00", "2026-01-01T10:00:01Z", "2026-01-01T10:00:03Z", "2026-01-01T10:00:02Z"},
		{"fake future", "2031-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"},
		{"a day ahead", "2026-01-02T10:00:00Z", "", "2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"},
		{"more than a day ahead", "2026-01-02T10:00:00.001Z", "", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"},
		{"far beyond a duration", "9999-01-01T10:00:00Z", "1970-01-01T10:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf(`{"type":"page","userId":"u","timestamp":%q,"sentAt":%q}`, tt.original, tt.sent)
			c := mustDecode(t, text, Envelope{ReceivedAt: at(tt.received)})
			if !c.Timestamp.Equal(at(tt.want)) || c.Timestamp.Location() != time.UTC {
				t.Errorf("timestamp %v, want %s", c.Timestamp, tt.want)
			}
			if tt.original != "" && !c.OriginalTimestamp.Equal(at(tt.original)) {
				t.Errorf("originalTimestamp %v, want %s", c.OriginalTimestamp, tt.original)
			}
			if future := at(tt.want).Equal(at(tt.received)) && tt.original > tt.received; future != (c.Warnings != nil) {
				t.Errorf("warnings %v", c.Warnings)
			}
		})
	}
}

func TestTimeFields(t *testing.T) {
	sent := `"sentAt":"2026-03-01T11:59:50Z"`
	for _, tt := range []struct {
		name, call, want string
		archived         bool
		warning          Code
	}{
		{name: "timestamp before originalTimestamp", call: `"timestamp":"2026-02-01T00:00:00Z","originalTimestamp":"2026-01-01T00:00:00Z"`, want: "2026-02-01T00:00:00Z"},
		{name: "originalTimestamp alone", call: `"originalTimestamp":"2026-01-01T00:00:00Z"`, want: "2026-01-01T00:00:00Z"},
		{name: "unreadable timestamp", call: `"timestamp":"yesterday","originalTimestamp":"2026-01-01T00:00:00Z"`, want: "2026-01-01T00:00:00Z", warning: CodeUnreadableTimestamp},
		{name: "nothing readable", call: `"timestamp":{}`, want: "2026-03-01T12:00:00.5Z", warning: CodeUnreadableTimestamp},
		{name: "sentAt unreadable", call: `"timestamp":"2026-02-01T00:00:00Z","sentAt":"?"`, want: "2026-02-01T00:00:00Z", warning: CodeUnreadableTimestamp},
		{name: "zero times of Go", call: `"timestamp":"0001-01-01T00:00:00Z","sentAt":"0001-01-01T00:00:00Z"`, want: "2026-03-01T12:00:00.5Z"},
		{name: "sent ten seconds ago", call: `"timestamp":"2026-02-01T00:00:00Z",` + sent, want: "2026-02-01T00:00:10.5Z"},
		{name: "the same in an archive", call: `"timestamp":"2026-02-01T00:00:00Z",` + sent, archived: true, want: "2026-02-01T00:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope()
			env.Archived = tt.archived
			c := mustDecode(t, `{"type":"page","userId":"u",`+tt.call+`}`, env)
			if !c.Timestamp.Equal(at(tt.want)) {
				t.Errorf("timestamp %v, want %s", c.Timestamp, tt.want)
			}
			if got := len(c.Warnings) == 1 && c.Warnings[0].Code == tt.warning; got != (tt.warning != "") {
				t.Errorf("warnings %v, want %q", c.Warnings, tt.warning)
			}
		})
	}
}

func TestParseTime(t *testing.T) {
	const noon = "2026-03-01T12:00:00Z"
	for text, want := range map[string]string{
		`"2026-03-01T12:00:00Z"`:              noon,
		`"2026-03-01T12:00:00z"`:              noon,
		`"2026-03-01T12:00:00"`:               noon,
		`"2026-03-01 12:00:00"`:               noon,
		`"2026-03-01T14:00:00+02:00"`:         noon,
		`"2026-03-01T14:00:00+0200"`:          noon,
		`"2026-03-01T14:00:00+02"`:            noon,
		`"2026-03-01T12:00"`:                  noon,
		`"2026-3-1T12:00:00Z"`:                noon,
		`"20260301T120000Z"`:                  noon,
		`"2026-03-01"`:                        "2026-03-01T00:00:00Z",
		`"2026-03-01T12:00:00.123456789Z"`:    "2026-03-01T12:00:00.123456789Z",
		`"2026-03-01T12:00:00,5+00:00"`:       "2026-03-01T12:00:00.5Z",
		`1772366400`:                          noon,
		`1772366400000`:                       noon,
		`1772366400.25`:                       "2026-03-01T12:00:00.25Z",
		`1.7723664e9`:                         noon,
		`99999999999`:                         "5138-11-16T09:46:39Z",
		`100000000000`:                        "1973-03-03T09:46:40Z",
		`0`:                                   "1970-01-01T00:00:00Z",
		`"0001-01-01T00:00:00Z"`:              "0001-01-01T00:00:00Z",
		`"9999-12-31T23:59:59-01:00"`:         "",
		`""`:                                  "",
		`"1772366400"`:                        "",
		`"Tue Jan 02 2024 10:00:00 GMT+0100"`: "",
		`"2026-02-30T00:00:00Z"`:              "",
		`"2026-03-01T25:00:00Z"`:              "",
		`1e300`:                               "",
		`-1e300`:                              "",
		`9223372036854775807`:                 "",
		`-9223372036854775808`:                "",
		`true`:                                "",
		`null`:                                "",
		`{}`:                                  "",
	} {
		got, ok := parseTime(jsontext.Value(text))
		if ok != (want != "") || ok && !got.Equal(at(want)) {
			t.Errorf("parseTime(%s) = %v, %v; want %q", text, got, ok, want)
		}
	}
}

// The age of a call does not depend on the client's clock.
func TestSkewCancelsClockError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, limit int64) time.Duration {
			return time.Duration(rapid.Int64Range(0, limit).Draw(t, name)) * time.Millisecond
		}
		arrived := at("2026-03-01T12:00:00Z").Add(ms("arrived", 1e9))
		age, wrong := ms("age", 1e12), ms("wrong", 1e11)-5e10*time.Millisecond/1000
		sent := arrived.Add(wrong)
		got := correct(sent.Add(-age), sent, arrived)
		if want := arrived.Add(-age); !got.Equal(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
