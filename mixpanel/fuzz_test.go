package mixpanel

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
)

// FuzzScan holds the scanner against the JSON library: both must find the same texts
// well-formed, and a value must come out as it went in.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":[1,-0.5e+10,"x\n\u00e9\ud83d\ude00",null,true,{"b":{}}],"":[[]]}`, ` { "a" : [ ] , "b" : { } } `,
		`{"a":01}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\udc00"}`, `{"a":"\udc00\udc00"}`, "{\"a\":\"\xff\"}", "{\"a\":\"\x01\"}",
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":tru}`, `[]`, `"x"`, `{"a":1}x`, `{"a":"x`, `{"a":"\`, `{"a":"\u12`, `{"a":[1,]}`, `{"a":[1 2]}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var members []member
		var m member
		r := readObject(text)
		for r.next(&m) {
			members = append(members, m)
		}
		want := jsontext.Value(text)
		valid := len(text) == 0 || want.IsValid(jsontext.AllowDuplicateNames(true)) && want.Kind() == '{'
		if r.bad == valid {
			t.Fatalf("well-formed: %v, but the library says %v", !r.bad, valid)
		}
		if !valid {
			return
		}
		for _, m := range members {
			if !jsontext.Value(m.value).IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Fatalf("%s is no value", m.value)
			}
			if name, err := jsontext.AppendUnquote([]byte(nil), m.quoted); err != nil || string(name) != string(m.name) {
				t.Fatalf("%s is named %q", m.quoted, m.name)
			}
			if flat := jsontext.Value(appendValue(nil, m.value, m.extent)); !flat.IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Fatalf("%s became %s", m.value, flat)
			}
		}
	})
}

// fuzzMappers are the settings under which calls are fuzzed.
var fuzzMappers = func() (mappers []*Mapper) {
	lists := Settings{
		Token: `tok"en`, SourceName: "Shop", EventEndpoint: EventsAuto,
		EventIncrements: []string{"E", "Loaded a Page"}, PropIncrements: []string{"a", "revenue"},
		GroupIdentifierTraits: []string{"a", "b"}, GroupTraitsToSetOnce: []string{"b", "$name"},
		TrackCategorizedPages: true, TrackNamedPages: true, ConsolidatedPageCalls: new(true),
	}
	narrow := lists
	narrow.SetAllTraitsByDefault, narrow.PeopleProperties, narrow.SuperProperties = new(false), []string{"a"}, []string{"a", "b"}
	narrow.LegacySuperProperties, narrow.IDMerge = true, MergeOriginal
	for _, s := range []Settings{{Token: "t"}, lists, narrow, {Token: "t", IDMerge: MergeSimplified, People: new(false)}} {
		m, err := NewMapper(s)
		if err != nil {
			panic(err)
		}
		mappers = append(mappers, m)
	}
	return mappers
}()

// FuzzMap checks what holds for every call: no panic, the same answer twice, records that
// are JSON objects without repeated names, and events within Mixpanel's limits.
func FuzzMap(f *testing.F) {
	types := []event.Type{event.Track, event.Page, event.Screen, event.Identify, event.Group, event.Alias, UnsetProperty, "other"}
	f.Add(uint8(0), "E", "u", "a", `{"a":1,"revenue":"$5","token":"x"}`, `{"a":1}`, `{"os":{"name":"iOS"},"traits":{"a":2,"$b":[1]},"active":false}`, ``, int64(1773143910250))
	f.Add(uint8(1), "N", "u", "", `{"category":"c","a":{"b":{"c":{"d":{"e":1}}}}}`, ``, `{"userAgent":"Chrome/1.2"}`, `{"All":false,"Mixpanel":{}}`, int64(0))
	f.Add(uint8(3), "", "u", "a", ``, `{"email":"e","E-mail":"f","l":["a","\u0061",1],"m":[true],"n":[],"created":"2020-01-01","firstName":"a","lastName":"b"}`, `{"personas":{}}`, ``, int64(1))
	f.Add(uint8(3), "", "u", "a", ``, `{"x":null,"$ios_devices":["q"]}`, `{"device":{"token":"t"},"personas":{}}`, ``, int64(1773143910250))
	f.Add(uint8(4), "", "u", "", ``, `{"a":["x",1,1.5],"b":{"c":1}}`, ``, ``, int64(1773143910250))
	f.Add(uint8(5), "p", "u", "a", ``, ``, ``, ``, int64(1773143910250))
	f.Add(uint8(6), "", "u", "", `["a","b"]`, ``, ``, ``, int64(0))
	f.Fuzz(func(t *testing.T, kind uint8, name, user, anonymous, properties, traits, context, integrations string, millis int64) {
		c := &event.Call{
			Type: types[int(kind)%len(types)], MessageID: "m", UserID: user, AnonymousID: anonymous, PreviousID: name,
			Event: name, Name: name, Category: name,
			Properties: jsontext.Value(properties), Traits: jsontext.Value(traits), Context: jsontext.Value(context), Integrations: jsontext.Value(integrations),
		}
		if millis != 0 {
			c.Timestamp = time.UnixMilli(millis % (1 << 48)).UTC()
		}
		// Duplicate names inside of values are not looked for: decoding has refused them.
		strict := true
		for _, v := range []jsontext.Value{c.Properties, c.Traits, c.Context, c.Integrations} {
			strict = strict && (len(v) == 0 || v.IsValid())
		}
		for i, m := range fuzzMappers {
			messages, err := m.Map(c, testNow)
			again, errAgain := m.Map(c, testNow)
			if !reflect.DeepEqual(messages, again) || (err == nil) != (errAgain == nil) {
				t.Fatalf("mapper %d gives two answers", i)
			}
			var r *Rejection
			if err != nil && (!errors.As(err, &r) || r.Code == "" || r.Reason == "" || messages != nil) {
				t.Fatalf("mapper %d: %v with %d messages", i, err, len(messages))
			}
			for _, msg := range messages {
				checkFuzzed(t, &msg, strict)
			}
		}
	})
}

func checkFuzzed(t *testing.T, m *Message, strict bool) {
	t.Helper()
	body := jsontext.Value(m.Body)
	if body.Kind() != '{' || !body.IsValid(jsontext.AllowDuplicateNames(!strict)) {
		t.Fatalf("%s: %s", m.Endpoint, m.Body)
	}
	if m.DistinctID == "" {
		t.Fatalf("nobody's record: %s", m.Body)
	}
	if m.Class != ClassEvent {
		return
	}
	if len(m.InsertID) != 36 {
		t.Fatalf("insert id %q", m.InsertID)
	}
	count := 0
	var p member
	for r := readObject(pick(m.Body, "properties")); r.next(&p); count++ {
		if p.extent.list > maxEventList || p.extent.names > maxEventNames || p.extent.objects > maxObjects {
			t.Fatalf("%s is over the limits", p.value)
		}
	}
	if count > maxEventNames {
		t.Fatalf("%d properties", count)
	}
}
