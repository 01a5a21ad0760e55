package event

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLookup(t *testing.T) {
	c := mustDecode(t, `{"type":"track","userId":"u","event":"E",
		"properties":{"a":{"b":[1,{"c":2}],"d\\":null}},
		"integrations":{"Google Analytics":{"clientId":"ga1"}}}`, envelope())
	for _, tt := range []struct {
		in   Field
		path []string
		want string
	}{
		{InProperties, []string{"a", "b"}, `[1,{"c":2}]`},
		{InProperties, []string{"a", `d\`}, `null`},
		{InProperties, []string{"a", "b", "c"}, ``},
		{InProperties, []string{"x"}, ``},
		{InIntegrations, []string{"Google Analytics", "clientId"}, `"ga1"`},
		{InTraits, []string{"a"}, ``},
		{InContext, nil, ``},
	} {
		if got := string(c.Lookup(tt.in, tt.path...)); got != tt.want {
			t.Errorf("Lookup(%s, %q) = %s, want %s", tt.in, tt.path, got, tt.want)
		}
	}
}

func TestEmail(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"identify","userId":"u","traits":{"email":"A@x.test"},"context":{"traits":{"email":"b@x.test"}}}`:     "A@x.test",
		`{"type":"identify","userId":"u","traits":{"email":null},"context":{"traits":{"email":"b@x.test"}}}`:           "b@x.test",
		`{"type":"page","userId":"u","context":{"traits":{"email":"b@x.test"}}}`:                                       "b@x.test",
		`{"type":"group","userId":"u","groupId":"g","traits":{"email":"info@x.test"}}`:                                 "",
		`{"type":"group","userId":"u","groupId":"g","traits":{"email":"i@x.test"},"context":{"traits":{"email":"b"}}}`: "b",
		`{"type":"identify","userId":"u","traits":{"email":["a"]}}`:                                                    "",
	} {
		if got := mustDecode(t, text, envelope()).Email(); got != want {
			t.Errorf("%s: email %q, want %q", text, got, want)
		}
	}
}

func TestDefinitionProperties(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"track","userId":"u","event":"E","properties":{"a":1}}`:                                      `{"a":1}`,
		`{"type":"track","userId":"u","event":"E","name":"x"}`:                                                ``,
		`{"type":"page","userId":"u"}`:                                                                        ``,
		`{"type":"page","userId":"u","name":"Pricing","category":"Docs"}`:                                     `{"name":"Pricing","category":"Docs","page_name":"Pricing"}`,
		`{"type":"page","userId":"u","name":"Top","properties":{"name":"In"}}`:                                `{"name":"In","page_name":"Top"}`,
		`{"type":"screen","userId":"u","name":"a\"b","properties":{"url":"/"}}`:                               `{"url":"/","name":"a\"b","screen_name":"a\"b"}`,
		`{"type":"page","userId":"u","name":"n","properties":{"page_name":"own","name":"n","category":null}}`: `{"page_name":"own","name":"n","category":null}`,
	} {
		if got := string(mustDecode(t, text, envelope()).DefinitionProperties()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestBundledWith(t *testing.T) {
	c := mustDecode(t, `{"type":"page","userId":"u","_metadata":{"bundled":["Segment.io","Mixpanel"],"unbundled":["X"]}}`, envelope())
	if !c.BundledWith("Mixpanel") || c.BundledWith("X") || c.BundledWith("mixpanel") {
		t.Error("bundled list is misread")
	}
	if (&Call{}).BundledWith("Mixpanel") {
		t.Error("a call without metadata is bundled")
	}
}

func TestMembers(t *testing.T) {
	var got []string
	for name, v := range Members([]byte(`{"b":[1,2],"a\u0062":null,"c":{}}`)) {
		if got = append(got, name+"="+string(v)); name == "ab" {
			break
		}
	}
	if diff := cmp.Diff([]string{"b=[1,2]", "ab=null"}, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	for range Members([]byte(`[1]`)) {
		t.Error("a list has members")
	}
}
