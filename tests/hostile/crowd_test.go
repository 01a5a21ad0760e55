package hostile_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"muster/event"
	"muster/ingest/ingesttest"
)

// crowd are clients, almost all of whose requests are malformed.
type crowd struct {
	url  string
	seed uint64
	web  *http.Client
	sent int

	mu      sync.Mutex
	healthy map[string]bool // message ids of calls that must be stored
	codes   map[string]int  // of answers
}

func newCrowd(url string, seed uint64) *crowd {
	return &crowd{
		url: url, seed: seed, healthy: make(map[string]bool), codes: make(map[string]int),
		web: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clientCount}},
	}
}

// leave closes the connections that no request uses.
func (c *crowd) leave() { c.web.CloseIdleConnections() }

// one sends a malformed request, of a kind that depends on its number, and sometimes a healthy one behind it.
func (c *crowd) one(ctx context.Context, number int) error {
	d := dice(c.seed, number)
	kinds := []func(context.Context, *rand.Rand, string) error{
		c.spoilt, c.spoilt, c.spoilt, c.mutated, c.mutated, c.misaddressed, c.misencoded, c.misspoken, c.brokenOff, c.oversize,
	}
	if err := kinds[number%len(kinds)](ctx, d, fmt.Sprint(number)); err != nil {
		return err
	}
	if d.IntN(4) > 0 {
		return nil
	}
	return c.expect(ctx, "/v1/track", seen("after-"+fmt.Sprint(number)), http.StatusOK, "", basic(spoiltKey))
}

// seen is a healthy call.
func seen(id string) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,"anonymousId":"visitor-%d","event":"Seen","properties":{"é":"☕"}}`, id, len(id)*7%11)
}

func batchOf(calls ...string) string { return `{"batch":[` + strings.Join(calls, ",") + `]}` }

// spoilt has a malformed message alone, or between two healthy ones.
func (c *crowd) spoilt(ctx context.Context, d *rand.Rand, name string) error {
	bad := ingesttest.Spoil(d)
	header := []string{basic(spoiltKey)}
	path, body, status, code := "/v1/batch", batchOf(seen("first-"+name), bad.Text, seen("last-"+name)), http.StatusOK, event.Code("")
	switch {
	case d.IntN(3) == 0 && bad.Alone():
		path, body, status, code = bad.Path(), bad.Text, http.StatusBadRequest, bad.Code
	case bad.Whole:
		status, code = http.StatusBadRequest, bad.Code
	}
	if d.IntN(4) == 0 {
		body, header = zip(body), append(header, "Content-Encoding: gzip")
	}
	return c.expect(ctx, path, body, status, code, header...)
}

// mutated is a healthy request with some bytes changed, which may make it anything.
func (c *crowd) mutated(ctx context.Context, d *rand.Rand, _ string) error {
	body := ingesttest.Mutate(d, `{"batch":[{"type":"track","userId":17,"event":"Seen","timestamp":"2026-03-01T11:00:00Z",`+
		`"properties":{"a":[1.5e3,true,null,{"b":"\u00e9\\"}]},"context":{"library":{"name":"analytics.js"}}},{"type":"identify","userId":"m","traits":{"email":"m@x.test"}}],`+
		`"writeKey":"`+mutatedKey+`","sentAt":"2026-03-01T11:59:59Z","context":{"app":{"name":"x"}},"integrations":{"All":true}}`)
	path := []string{"/v1/batch", "/v1/b", "/v1/import", "/v1/track", "/v1/identify", "/v1/group"}[d.IntN(6)]
	header := [][]string{{basic(mutatedKey)}, nil, {basic(mutatedKey), "Content-Encoding: gzip"}}[d.IntN(3)]
	status, code, err := c.post(ctx, http.MethodPost, path, strings.NewReader(body), header...)
	if err != nil {
		return err
	}
	if !slices.Contains([]int{200, 400, 401}, status) || status == http.StatusOK && !json.Valid([]byte(body)) {
		return fmt.Errorf("%s %.300q is answered %d %s", path, body, status, code)
	}
	return nil
}

// misaddressed goes where nothing is, the wrong way, or without a key that is known.
func (c *crowd) misaddressed(ctx context.Context, d *rand.Rand, name string) error {
	call := seen("lost-" + name)
	switch d.IntN(6) {
	case 0:
		return c.expectMethod(ctx, http.MethodPost, "/v1/"+strings.Repeat("x/", d.IntN(500))+"y", call, http.StatusNotFound, "not_found", basic(spoiltKey))
	case 1:
		return c.expectMethod(ctx, []string{http.MethodPut, http.MethodDelete, http.MethodPatch}[d.IntN(3)], "/v1/track", call, http.StatusMethodNotAllowed, "method_not_allowed", basic(spoiltKey))
	case 2:
		return c.expect(ctx, "/v1/track", call, http.StatusUnauthorized, "invalid_write_key", basic(spoiltKey+"x"))
	case 3:
		return c.expect(ctx, "/v1/track", call, http.StatusUnauthorized, "invalid_write_key")
	case 4:
		return c.expect(ctx, "/v1/batch", `{"writeKey":"`+strings.Repeat("k", 1+d.IntN(3000))+`",`+batchOf(call)[1:], http.StatusUnauthorized, "invalid_write_key")
	default:
		return c.expect(ctx, "/v1/track", call, http.StatusUnauthorized, "invalid_write_key", "Authorization: Basic "+strings.Repeat("=", d.IntN(9)))
	}
}

// misencoded says that its body is something that it is not.
func (c *crowd) misencoded(ctx context.Context, d *rand.Rand, name string) error {
	call := seen("lost-" + name)
	switch packed := zip(call); d.IntN(5) {
	case 0:
		return c.expect(ctx, "/v1/track", call, http.StatusUnsupportedMediaType, "unsupported_encoding", basic(spoiltKey), "Content-Encoding: "+[]string{"br", "deflate", "gzip, gzip", "☕"}[d.IntN(4)])
	case 1: // cut off
		return c.expect(ctx, "/v1/track", packed[:d.IntN(len(packed)-1)], http.StatusBadRequest, event.CodeInvalidFormat, basic(spoiltKey), "Content-Encoding: gzip")
	case 2: // its check sum is wrong
		wrong := []byte(packed)
		wrong[len(wrong)-5-d.IntN(3)] ^= 1 << d.IntN(8)
		return c.expect(ctx, "/v1/track", string(wrong), http.StatusBadRequest, event.CodeInvalidFormat, basic(spoiltKey), "Content-Encoding: gzip")
	case 3: // compressed twice
		return c.expect(ctx, "/v1/track", zip(packed), http.StatusBadRequest, event.CodeInvalidJSON, basic(spoiltKey), "Content-Encoding: gzip")
	default: // not said
		return c.expect(ctx, "/v1/track", packed, http.StatusBadRequest, event.CodeInvalidJSON, basic(spoiltKey))
	}
}

// oversize is larger than allowed, on the wire or only once it is inflated.
func (c *crowd) oversize(ctx context.Context, d *rand.Rand, name string) error {
	call := seen("lost-" + name)
	path, limit, code := "/v1/track", event.DefaultMaxBytes, event.CodeMessageTooLarge
	if d.IntN(3) == 0 {
		path, limit, code = "/v1/batch", event.DefaultMaxBatchBytes, event.CodeBatchTooLarge
		call = batchOf(call)
	}
	body, header := call+strings.Repeat(" ", limit+1-len(call)+d.IntN(1000)), []string{basic(spoiltKey)}
	if d.IntN(2) == 0 {
		body, header = zip(body+strings.Repeat(" ", d.IntN(1<<20))), append(header, "Content-Encoding: gzip")
	}
	return c.expect(ctx, path, body, http.StatusBadRequest, code, header...)
}

// misspoken is no HTTP, or HTTP that contradicts itself.
func (c *crowd) misspoken(ctx context.Context, d *rand.Rand, name string) error {
	call := seen("lost-" + name)
	head := "POST /v1/track HTTP/1.1\r\nHost: x\r\n" + basic(spoiltKey) + "\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(call))
	text := []string{
		strings.Repeat("\x00\xff\x16\x03", 1+d.IntN(400)) + "\r\n\r\n",
		"POST /v1/track\r\n\r\n",
		"POST /v1/track HTTP/9.9\r\nHost: x\r\n\r\n",
		"POST /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/track HTTP/1.1\r\n" + basic(spoiltKey) + "\r\n" + length + "\r\n" + call, // no host
		head + length + "Content-Length: 3\r\n\r\n" + call,
		head + "Content-Length: -1\r\n\r\n" + call,
		head + "Content-Length: 99999999999999999999\r\n\r\n" + call,
		head + "A header without a colon\r\n" + length + "\r\n" + call,
		head + "Transfer-Encoding: brotli\r\n\r\n" + call,
		head + "Transfer-Encoding: chunked\r\n\r\n" + "zz\r\n" + call,
		head + "Transfer-Encoding: chunked\r\n\r\n" + "80000000000000000\r\n" + call,
		head + "X: " + strings.Repeat("x", 200<<10) + "\r\n" + length + "\r\n" + call,
	}[d.IntN(13)]
	return c.raw(ctx, text, true)
}

// brokenOff ends in the middle: the client goes away.
func (c *crowd) brokenOff(ctx context.Context, d *rand.Rand, name string) error {
	call := seen("lost-" + name)
	text := "POST /v1/track HTTP/1.1\r\nHost: x\r\n" + basic(spoiltKey) + "\r\n"
	if d.IntN(2) == 0 {
		text += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(call), call)
	} else {
		text += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(call), call)
	}
	return c.raw(ctx, text[:1+d.IntN(len(text)-1)], false)
}

// raw writes text on a connection. If an answer is due it must be a refusal, or the
// connection must be closed; else the client leaves without waiting.
func (c *crowd) raw(ctx context.Context, text string, due bool) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, wrote := io.WriteString(conn, text)
	if !due {
		return nil
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("%.200q is not answered", text)
	case err != nil: // closed; the answer may have got lost if the rest of the text was not read
		if wrote == nil && len(text) < 64<<10 {
			return fmt.Errorf("%.200q: the connection is closed without an answer: %w", text, err)
		}
		return nil
	}
	defer answer.Body.Close()
	c.note(fmt.Sprint(answer.StatusCode))
	if answer.StatusCode < 400 || answer.StatusCode >= 600 || answer.StatusCode == http.StatusInternalServerError {
		return fmt.Errorf("%.200q is answered %s", text, answer.Status)
	}
	return nil
}

// expect posts a body, and notes the healthy calls in it if it is to be answered 200.
func (c *crowd) expect(ctx context.Context, path, body string, status int, code event.Code, header ...string) error {
	return c.expectMethod(ctx, http.MethodPost, path, body, status, code, header...)
}

func (c *crowd) expectMethod(ctx context.Context, method, path, body string, status int, code event.Code, header ...string) error {
	gotStatus, gotCode, err := c.post(ctx, method, path, strings.NewReader(body), header...)
	if err != nil {
		return err
	}
	if gotStatus != status || gotCode != code {
		return fmt.Errorf("%s %s %.300q is answered %d %s, want %d %s", method, path, body, gotStatus, gotCode, status, code)
	}
	if status != http.StatusOK {
		return nil
	}
	if slices.Contains(header, "Content-Encoding: gzip") {
		body = unzip(body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range strings.Split(body, `"messageId":"`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		if strings.HasPrefix(id, "first-") || strings.HasPrefix(id, "last-") || strings.HasPrefix(id, "after-") {
			c.healthy[id] = true
		}
	}
	return nil
}

// post sends a request and returns the status of the answer and the code in it.
func (c *crowd) post(ctx context.Context, method, path string, body io.Reader, header ...string) (int, event.Code, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return 0, "", err
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	answer, err := c.web.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, "", err
	}
	var said struct {
		Success bool
		Error   struct{ Code event.Code }
	}
	if err := json.Unmarshal(text, &said); err != nil || said.Success != (said.Error.Code == "") {
		return 0, "", fmt.Errorf("%s %s is answered %d %.200q", method, path, answer.StatusCode, text)
	}
	c.note(fmt.Sprintf("%d %s", answer.StatusCode, said.Error.Code))
	return answer.StatusCode, said.Error.Code, nil
}

func (c *crowd) note(answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[answer]++
}

func basic(key string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"))
}

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func unzip(text string) string {
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		panic(err) // it was made above
	}
	all, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return string(all)
}
