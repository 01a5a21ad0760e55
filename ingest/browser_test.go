package ingest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestBrowsers(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/v1/t", "/v1/batch", "/v1/m", "/v1/projects/wk1/settings", "/v1/pixel/track"} {
		g := s.send(t, http.MethodOptions, path, nil, "Origin: https://shop.test",
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
		want := map[string]string{
			"Access-Control-Allow-Origin":   "*",
			"Access-Control-Allow-Methods":  "GET, POST, OPTIONS",
			"Access-Control-Allow-Headers":  "authorization, content-type, x-retry-count",
			"Access-Control-Max-Age":        "86400",
			"Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset",
		}
		if g.status != http.StatusNoContent || g.body != "" {
			t.Errorf("OPTIONS %s: %d %q", path, g.status, g.body)
		}
		for name, value := range want {
			if g.header.Get(name) != value {
				t.Errorf("OPTIONS %s: %s is %q", path, name, g.header.Get(name))
			}
		}
	}
	for name, g := range map[string]got{
		"success": s.post(t, "/v1/page", visit("m")),
		"refused": s.post(t, "/v1/page", `{`),
		"no key":  s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m"))),
	} {
		if g.header.Get("Access-Control-Allow-Origin") != "*" || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", name, g.header)
		}
	}
}

func TestSettings(t *testing.T) {
	s := open(t)
	g := s.send(t, http.MethodGet, "/v1/projects/wk1/settings", nil)
	host := strings.TrimPrefix(s.url, "http://")
	want := `{"integrations":{"Segment.io":{"apiKey":"wk1","apiHost":"` + host + `/v1","protocol":"http","unbundledIntegrations":[],"addBundledMetadata":true}},` +
		`"plan":{"track":{"__default":{"enabled":true,"integrations":{}}}},"metrics":{"sampleRate":0}}`
	if g.status != 200 || g.body != want || g.header.Get("Cache-Control") != "public, max-age=120" {
		t.Errorf("settings %d %v\n got %s\nwant %s", g.status, g.header, g.body, want)
	}
	if g := s.send(t, http.MethodGet, "/v1/projects/wk1/settings", nil, "X-Forwarded-Proto: https"); !strings.Contains(g.body, `"protocol":"https"`) {
		t.Errorf("behind a proxy: %s", g.body)
	}
	expect(t, s.send(t, http.MethodGet, "/v1/projects/nope/settings", nil), 404, CodeInvalidWriteKey)
	expect(t, s.send(t, http.MethodGet, "/v1/projects/broken/settings", nil), 503, CodeUnavailable)

	fixed := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) {
		c.PublicURL, c.LenientAuth = "https://events.shop.test/seg/", true
	})
	if g := fixed.send(t, http.MethodGet, "/v1/projects/nope/settings", nil); g.status != 200 ||
		!strings.Contains(g.body, `"apiHost":"events.shop.test/seg/v1","protocol":"https"`) {
		t.Errorf("public address: %d %s", g.status, g.body)
	}
}

// What the libraries of a source run themselves is handed to them as it is, and to no other
// source.
func TestSettingsOfIntegrations(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) {
		c.LenientAuth = true
		c.Integrations = map[string]map[string]jsontext.Value{"shop": {"Zeta": []byte(`{"b":2,"a":[]}`), "Alpha": []byte(`{}`)}}
	})
	shop := s.send(t, http.MethodGet, "/v1/projects/wk1/settings", nil)
	if shop.status != 200 || !strings.HasPrefix(shop.body, `{"integrations":{"Alpha":{},"Segment.io":{"apiKey":"wk1",`) || !strings.Contains(shop.body, `,"Zeta":{"b":2,"a":[]}},"plan":`) {
		t.Errorf("settings %d %s", shop.status, shop.body)
	}
	for _, key := range []string{"wk2", "nope"} {
		if g := s.send(t, http.MethodGet, "/v1/projects/"+key+"/settings", nil); g.status != 200 || strings.Contains(g.body, "Alpha") {
			t.Errorf("%s: settings %d %s", key, g.status, g.body)
		}
	}
}

func TestPixel(t *testing.T) {
	s := open(t)
	call := `{"writeKey":"wk2","userId":"u>?","event":"Email Opened","messageId":"%s","properties":{"subject":"Daily"}}`
	std := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, call, "std"))
	for name, query := range map[string]string{
		"std, raw":     "data=" + std,
		"url alphabet": "data=" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, call, "url")),
		"plain": "writeKey=wk2&userId=user_1&event=Email%20Opened&messageId=plain&properties.subject=The+Daily" +
			"&properties.a.b=c&properties.subject.x=lost",
		"no base64":  "data=%%%",
		"not JSON":   "data=" + base64.StdEncoding.EncodeToString([]byte("{")),
		"no key":     "userId=u&event=E",
		"wrong key":  "writeKey=nope&userId=u&event=E",
		"no event":   "writeKey=wk2&userId=u",
		"bad UTF-8":  "writeKey=wk2&userId=%ff&event=E",
		"no query":   "",
		"key broken": "writeKey=broken&userId=u&event=E",
	} {
		g := s.send(t, http.MethodGet, "/v1/pixel/track?"+query, nil)
		if g.status != 200 || g.header.Get("Content-Type") != "image/gif" || g.body != pixelGIF || g.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %q", name, g.status, g.header, g.body)
		}
	}
	ids := s.messageIDs()
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"plain", "std", "url"}) {
		t.Fatalf("stored %v", ids)
	}
	for _, it := range s.stored {
		if it.SourceID != 2 || it.Call.Event != "Email Opened" {
			t.Errorf("stored %+v", it.Call)
		}
		if it.Call.MessageID == "plain" && string(it.Call.Properties) != `{"a":{"b":"c"},"subject":"The Daily"}` {
			t.Errorf("properties %s", it.Call.Properties)
		}
	}
	if g := s.send(t, http.MethodHead, "/v1/pixel/track?data="+std, nil); g.status != 200 || g.body != "" {
		t.Errorf("HEAD: %d %q", g.status, g.body)
	}
}
