package identity_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"muster/event"
	"muster/identity"
)

func TestExtract(t *testing.T) {
	custom := identity.Settings{CustomKeys: []string{"loyalty_id", "vip"}, EmailFromProperties: true}
	long := strings.Repeat("ü", identity.MaxIDLength)
	tests := []struct {
		name     string
		settings identity.Settings
		call     event.Call
		want     []string // ids, then what alias may mean with "previous", then what was dropped with its rule
	}{{
		name: "the ids of the call itself",
		call: event.Call{Type: event.Track, UserID: "Kim ", AnonymousID: "a1"},
		want: []string{"user_id:Kim ", "anonymous_id:a1"},
	}, {
		name: "emails of both places, trimmed and in lower case, each once",
		call: event.Call{
			Type: event.Identify, AnonymousID: "a1",
			Traits:  []byte(`{"email":" Kim@X.Test","name":"Kim"}`),
			Context: []byte(`{"traits":{"email":"kim@x.test"}}`),
		},
		want: []string{"email:kim@x.test", "anonymous_id:a1"},
	}, {
		name: "the traits of a group are not the person's",
		call: event.Call{
			Type: event.Group, UserID: "u", GroupID: "g",
			Traits:  []byte(`{"email":"office@x.test"}`),
			Context: []byte(`{"traits":{"email":"kim@x.test"}}`),
		},
		want: []string{"user_id:u", "email:kim@x.test"},
	}, {
		name: "an email is text at the top",
		call: event.Call{
			Type:    event.Identify,
			Traits:  []byte(`{"company":{"email":"office@x.test"},"email":["a@x.test"],"note":"email"}`),
			Context: []byte(`{"traits":{"email":null},"page":{"traits":{"email":"no@x.test"}}}`),
		},
	}, {
		name: "an email under a name in escapes",
		call: event.Call{Type: event.Identify, Traits: []byte(`{"\u0065mail":"kim@x\u002etest"}`)},
		want: []string{"email:kim@x.test"},
	}, {
		name: "properties.email is none",
		call: event.Call{Type: event.Track, UserID: "u", Properties: []byte(`{"email":"kim@x.test"}`)},
		want: []string{"user_id:u"},
	}, {
		name:     "properties.email if it is wanted, and own keys in all places and spellings",
		settings: custom,
		call: event.Call{
			Type: event.Track, UserID: "u",
			Properties: []byte(`{"email":"kim@x.test","loyaltyId":"L1","vip":17}`),
			Context:    []byte(`{"traits":{"loyalty_id":"L2","vip":true}}`),
		},
		want: []string{"user_id:u", "email:kim@x.test", "loyalty_id:L2", "loyalty_id:L1", "vip:17"},
	}, {
		name:     "own keys among traits",
		settings: custom,
		call:     event.Call{Type: event.Identify, Traits: []byte(`{"loyaltyId":"L1","VIP":"no"}`)},
		want:     []string{"loyalty_id:L1"},
	}, {
		name: "an Android phone",
		call: event.Call{Type: event.Track, Context: []byte(`{"device":{"type":"Android","id":"d1","advertisingId":"ad1","adTrackingEnabled":true,"token":"t1"}}`)},
		want: []string{"android.id:d1", "android.idfa:ad1", "android.push_token:t1"},
	}, {
		name: "an iPhone that is not to be tracked",
		call: event.Call{Type: event.Track, Context: []byte(`{"device":{"type":"ios","id":"d1","advertisingId":"ad1","adTrackingEnabled":false,"token":""}}`)},
		want: []string{"ios.id:d1"},
	}, {
		name: "zeros for the advertising id, and tracking that is only said to be on",
		call: event.Call{Type: event.Track, AnonymousID: "a", Context: []byte(`{"device":{"type":"ios","advertisingId":"00000000-0000-0000-0000-000000000000","adTrackingEnabled":true}}`)},
		want: []string{"anonymous_id:a", "dropped ios.idfa:00000000-0000-0000-0000-000000000000 blocked_value"},
	}, {
		name: "tracking that is not said to be on with a boolean",
		call: event.Call{Type: event.Track, AnonymousID: "a", Context: []byte(`{"device":{"type":"ios","advertisingId":"ad","adTrackingEnabled":"true"}}`)},
		want: []string{"anonymous_id:a"},
	}, {
		name: "a browser is no phone",
		call: event.Call{Type: event.Track, AnonymousID: "a", Context: []byte(`{"device":{"type":"desktop","id":"d1"}}`)},
		want: []string{"anonymous_id:a"},
	}, {
		name: "Google Analytics",
		call: event.Call{Type: event.Track, Context: []byte(`{"integrations":{"Amplitude":{"clientId":"no"},"Google Analytics":{"clientId":1234.5678}}}`)},
		want: []string{"ga_client_id:1234.5678"},
	}, {
		name: "external ids have all four members and are of users",
		call: event.Call{Type: event.Track, Context: []byte(`{"externalIds":[
			{"id":"123456789","type":"Phone","collection":"users","encoding":"none"},
			{"id":42,"type":"crm","collection":"users","encoding":"none"},
			{"id":"X@Y.test ","type":"email","collection":"users","encoding":"none"},
			{"id":"acme","type":"domain","collection":"accounts","encoding":"none"},
			{"id":"1","type":"hashed","collection":"users","encoding":"sha256"},
			{"id":"2","type":"short","collection":"users"},
			{"type":"idless","collection":"users","encoding":"none"},
			{"id":"3","type":4,"collection":"users","encoding":"none"},
			"4", null, [], {}
		]}`)},
		want: []string{"email:x@y.test", "crm:42", "phone:123456789"},
	}, {
		name: "other shapes than expected are not ids",
		call: event.Call{Type: event.Track, AnonymousID: "a", Context: []byte(`{"traits":"email","device":["android"],"externalIds":{"id":"1"},"integrations":7}`)},
		want: []string{"anonymous_id:a"},
	}, {
		name: "words for nobody",
		call: event.Call{Type: event.Identify, UserID: "NULL", AnonymousID: "-", Traits: []byte(`{"email":" \t"}`)},
		want: []string{"dropped user_id:NULL blocked_value", "dropped anonymous_id:- blocked_value"},
	}, {
		name: "words that only begin like words for nobody",
		call: event.Call{Type: event.Identify, UserID: "nullius", AnonymousID: "anonymous-7"},
		want: []string{"user_id:nullius", "anonymous_id:anonymous-7"},
	}, {
		name:     "own block lists come beside that of every type",
		settings: identity.Settings{Blocked: map[string][]string{"user_id": {"admin", "/^test-/"}}},
		call:     event.Call{Type: event.Alias, UserID: "test-7", AnonymousID: "admin", PreviousID: "null"},
		want: []string{
			"anonymous_id:admin",
			"dropped user_id:test-7 blocked_value", "dropped user_id:null blocked_value", "dropped anonymous_id:null blocked_value",
		},
	}, {
		name:     "nothing is blocked if nothing is to be",
		settings: identity.Settings{Blocked: map[string][]string{"*": {}}},
		call:     event.Call{Type: event.Track, UserID: "null", AnonymousID: "0"},
		want:     []string{"user_id:null", "anonymous_id:0"},
	}, {
		name: "as long as may be, in characters, and one more",
		call: event.Call{Type: event.Track, UserID: long, AnonymousID: long + "x"},
		want: []string{"user_id:" + long, "dropped anonymous_id:" + long + " too_long"},
	}, {
		name: "what a database cannot hold",
		call: event.Call{
			Type: event.Identify, UserID: "a\x00b", AnonymousID: "a\xffb",
			Context: []byte(`{"externalIds":[{"id":"1","type":"a\tb","collection":"users","encoding":"none"},{"id":"1","type":" ","collection":"users","encoding":"none"}]}`),
		},
		want: []string{
			"dropped user_id:a\uFFFDb malformed", "dropped anonymous_id:a\uFFFDb malformed",
			"dropped a\tb:1 malformed", "dropped :1 malformed",
		},
	}, {
		name: "an alias",
		call: event.Call{Type: event.Alias, UserID: "kim", PreviousID: "Dev10"},
		want: []string{"user_id:kim", "previous user_id:Dev10", "previous anonymous_id:Dev10"},
	}, {
		name: "an alias of the call's own visitor",
		call: event.Call{Type: event.Alias, UserID: "kim", AnonymousID: "dev10", PreviousID: "dev10"},
		want: []string{"user_id:kim", "anonymous_id:dev10"},
	}, {
		name:     "an order of one's own",
		settings: identity.Settings{Priority: []string{"crm", "anonymous_id"}},
		call: event.Call{
			Type: event.Identify, UserID: "u", AnonymousID: "a", Traits: []byte(`{"email":"e@x"}`),
			Context: []byte(`{"externalIds":[{"id":"1","type":"crm","collection":"users","encoding":"none"},{"id":"1","type":"abc","collection":"users","encoding":"none"}]}`),
		},
		want: []string{"crm:1", "anonymous_id:a", "user_id:u", "email:e@x", "abc:1"},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rules, err := test.settings.Compile()
			if err != nil {
				t.Fatal(err)
			}
			e := rules.Extract(&test.call)
			var got []string
			for _, id := range e.IDs {
				got = append(got, id.String())
			}
			for _, id := range e.Previous {
				got = append(got, "previous "+id.String())
			}
			for _, v := range e.Dropped {
				got = append(got, "dropped "+v.ID.String()+" "+string(v.Rule))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if lookup := e.Lookup(nil); len(lookup) != len(e.IDs)+len(e.Previous) {
				t.Errorf("%d ids to look up", len(lookup))
			}
		})
	}
}

// FuzzExtract feeds contexts and traits of any shape: whatever comes out is an id that a
// store can hold.
func FuzzExtract(f *testing.F) {
	f.Add(`{"email":"Kim@x.test"}`, `{"externalIds":[{"id":"1","type":"crm","collection":"users","encoding":"none"}],"device":{"type":"ios","id":"1"}}`)
	f.Add(`{"email":"\u0000"}`, `{"traits":{"email":"a"},"integrations":{"Google Analytics":{"clientId":1}}}`)
	f.Add(`"email"`, `{"traits":{"traits":`)
	rules, err := identity.Settings{CustomKeys: []string{"crm_id"}}.Compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, traits, context string) {
		e := rules.Extract(&event.Call{Type: event.Identify, Traits: []byte(traits), Context: []byte(context)})
		seen := make(map[identity.ID]bool)
		for _, id := range e.IDs {
			if id.Type == "" || id.Value == "" || id != id.Normal() || seen[id] || strings.ContainsRune(id.Value, 0) {
				t.Errorf("%q is no id", id)
			}
			seen[id] = true
		}
		for _, v := range e.Dropped {
			if text := v.ID.String(); !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > 400 {
				t.Errorf("%q cannot be stored", v)
			}
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	rules, err := identity.Settings{}.Compile()
	if err != nil {
		b.Fatal(err)
	}
	call := event.Call{
		Type: event.Track, UserID: "c-204", AnonymousID: "0e6a3d5c-6c62-4a2a-9c5f-6f0f4f9d1a11",
		Context: []byte(`{"library":{"name":"analytics.js","version":"2.11.1"},"page":{"path":"/","title":"Shop","url":"https://shop.example.net/"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64)","locale":"en-GB","timezone":"Europe/London","campaign":{}}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		rules.Extract(&call)
	}
}
