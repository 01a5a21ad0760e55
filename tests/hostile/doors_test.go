package hostile_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every path of the APIs' description asks for a token, whatever else is sent; what asks for none
// tells nothing of people; and the Tracking API lets a call in with a key of its own only.
func TestDoors(t *testing.T) {
	h := newHouse(t)
	if a := h.ask("POST", "/v1/identify", `{"userId":"kim","messageId":"m","traits":{"email":"kim@example.net"}}`, basic(houseKey)); a.status != http.StatusOK {
		t.Fatal(a)
	}
	var described struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(h.ask("GET", "/openapi.json", "").text), &described); err != nil || len(described.Paths) < 30 {
		t.Fatal(err, len(described.Paths))
	}
	fill := strings.NewReplacer("{key}", "seen", "{name}", "plain", "{id}", "1", "{profile}", "user_id:kim", "{space}", "s")
	tried := 0
	for path, methods := range described.Paths {
		for method := range methods {
			method = strings.ToUpper(method)
			if !strings.Contains("GET POST PUT PATCH DELETE", method) {
				continue
			}
			path := fill.Replace(path)
			right, other := bearer(h.write), basic(h.write)
			if strings.HasPrefix(path, "/v1/") {
				right, other = other, right
			}
			for _, header := range [][]string{
				{},
				{other},
				{bearer(houseKey)},
				{basic(houseKey)},
				{bearer("mst_wrong")},
				{bearer("")},
				{basic("")},
				{"Authorization: " + h.write},
				{bearer("' OR 1=1 --")},
				{basic("x' OR '1'='1")},
				{other, right}, // the first of two counts
				{"Cookie: token=" + h.write},
				{"X-Api-Key: " + h.write},
				{"X-Forwarded-For: 127.0.0.1"},
				{"X-Original-Url: /healthz"},
			} {
				tried++
				if a := h.ask(method, path, "{}", header...); a.status != http.StatusUnauthorized || strings.Contains(a.text, "example.net") {
					t.Errorf("%s %s with %q answers %s", method, path, header, a)
				}
			}
			if a := h.ask(method, path+"?token="+h.write+"&access_token="+h.write, ""); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s with a token in its query answers %s", method, path, a)
			}
		}
	}
	t.Logf("%d requests without the right token", tried)
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/openapi.json", "/openapi.yaml"} {
		if a := h.ask("GET", path, ""); a.status != http.StatusOK || strings.Contains(a.text, "kim") && !strings.HasPrefix(path, "/openapi") {
			t.Errorf("%s answers %s", path, a)
		}
		if a := h.ask("POST", path, ""); a.status == http.StatusOK {
			t.Errorf("a POST to %s is answered %s", path, a)
		}
	}
	if a := h.ask("GET", "/v1/projects/"+houseKey+"/settings", "", "Host: evil.example"); a.status != http.StatusOK {
		t.Error(a)
	}
	call := `{"type":"track","userId":"mallory","event":"Seen","messageId":"evil-%d"}`
	n := 0
	for _, header := range [][]string{
		{},
		{basic("")},
		{basic("wrong")},
		{basic(h.write)},
		{bearer(houseKey)},
		{basic(strings.ToUpper(houseKey))},
		{basic(houseKey + " ")},
		{basic("' OR ''='")},
		{basic("wrong"), basic(houseKey)},
	} {
		for _, path := range []string{"/v1/track", "/v1/t", "//v1//track/", "/x/../v1/track"} {
			n++
			if a := h.ask("POST", path, fmt.Sprintf(call, n), header...); a.status != http.StatusUnauthorized {
				t.Errorf("POST %s with %q answers %s", path, header, a)
			}
		}
	}
	for _, path := range []string{"/v1/projects/wrong/settings", "/v1/projects/" + strings.ToUpper(houseKey) + "/settings", "/v1/projects/%2e%2e/settings"} {
		if a := h.ask("GET", path, ""); a.status != http.StatusNotFound {
			t.Errorf("%s answers %s", path, a)
		}
	}
	if a := h.ask("GET", "/v1/pixel/track?userId=mallory&event=Seen&messageId=evil-pixel&writeKey=wrong", ""); a.status != http.StatusOK || a.header.Get("Content-Type") != "image/gif" {
		t.Error(a)
	}
	h.noEvil()
}

// noEvil looks for calls that must not be stored.
func (h *house) noEvil() {
	h.Helper()
	var n int
	if err := h.connect().QueryRow(h.Context(), `SELECT count(*) FROM muster.events WHERE message_id LIKE 'evil%'`).Scan(&n); err != nil || n > 0 {
		h.Errorf("%d calls are stored that must not be (%v)", n, err)
	}
}

// Paths that mean something else after decoding or cleaning lead nowhere that they should not; a
// proxy that lets only /v1/ through can rely on it.
func TestPathTricks(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{
		"/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/v1/%2e%2e%2fmetrics", "/v1//../metrics", "/v1/./../metrics", "/v1/spaces/../../metrics", "/v1/spaces/%2e%2e/%2e%2e/metrics",
		"/v1/..;/metrics", `/v1/..\metrics`, "/v1/%5c..%5cmetrics", "/v1/%00/../../metrics", "/v1/track/../../metrics", "/v1/projects/../../metrics", "/v1/namespaces/..%2f..%2fapi/v1/audiences",
		"/v1/../api/v1/audiences", "/v1/%2e%2e/api/v1/audiences", "/v1/../debug/pprof/", "/debug/pprof/", "/debug/vars", "/.env", "/muster.yaml", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
		"/v1/spaces/s/collections/users/profiles/user_id:kim/../../../../../../../metrics", "/api/v1/audiences/..%2f..%2fhealth", "/API/V1/audiences", "/V1/track",
	} {
		text := h.raw("GET " + path + " HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(text, "HTTP/1.1 200") || strings.Contains(text, "muster_database_up") || strings.Contains(text, "root:") {
			t.Errorf("%s is answered %.300q", path, text)
		}
	}
}

// raw sends bytes and gives all that is answered.
func (h *house) raw(request string) string {
	h.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.Context(), "tcp", strings.TrimPrefix(h.muster.URL(), "http://"))
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		h.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // it may be refused before all of it is sent
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.CloseWrite() // the other side may have closed it
	}
	text, _ := io.ReadAll(bufio.NewReader(conn)) // a reset ends it, too
	return string(text)
}

// Requests whose end two servers could see in different places are refused, and what is hidden in
// them is not taken for a request.
func TestSmuggling(t *testing.T) {
	h := newHouse(t)
	evil := func(n int) string {
		body := fmt.Sprintf(`{"type":"track","userId":"mallory","event":"Seen","messageId":"evil-%d"}`, n)
		return "POST /v1/track HTTP/1.1\r\nHost: muster\r\n" + basic(houseKey) + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	}
	for i, head := range []string{
		"Content-Length: 5\r\nContent-Length: 6\r\n",
		"Content-Length: 5, 6\r\n",
		"Content-Length: +5\r\n",
		"Content-Length: -1\r\n",
		"Content-Length: 0x5\r\n",
		"Content-Length: 99999999999999999999\r\n",
		"Content-Length : 5\r\n",
		"Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding : chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"X: a\r\n\x00Y: b\r\n",
		"X: a\x00b\r\n",
		"X\r\n",
		": x\r\n",
		"Host: other\r\n",
	} {
		text := h.raw("POST /v1/track HTTP/1.1\r\nHost: muster\r\n" + head + "\r\n0\r\n\r\n" + evil(i))
		if !strings.HasPrefix(text, "HTTP/1.1 4") && !strings.HasPrefix(text, "HTTP/1.1 501") || strings.Count(text, "HTTP/1.1 ") != 1 {
			t.Errorf("%q is answered %.400q", head, text)
		}
	}
	// With both the chunks count, and the connection is not used again.
	text := h.raw("POST /v1/track HTTP/1.1\r\nHost: muster\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil(100))
	if strings.Contains(text, "200 OK") {
		t.Errorf("a length beside chunks is answered %.400q", text)
	}
	for _, request := range []string{
		"GET / HTTP/9.9\r\nHost: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"TRACE /v1/track HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n", "G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /" + strings.Repeat("a", 200_000) + " HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 200_000) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: a\r\n", 40_000) + "\r\n", "\x16\x03\x01\x02\x00\x01\x00",
	} {
		if text := h.raw(request); strings.Contains(text, " 200 OK") || strings.Contains(text, "Cookie: secret") {
			t.Errorf("%.60q is answered %.300q", request, text)
		}
	}
	h.noEvil()
	if a := h.ask("GET", "/readyz", ""); a.status != http.StatusOK {
		t.Error(a)
	}
	if bad := complaints(&h.log); len(bad) > 0 {
		t.Errorf("%d complaints in the log, the first:\n%s", len(bad), bad[0])
	}
}
