package mixpanel

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"muster/engine"
)

// Client talks to Mixpanel's ingestion API. It is safe for concurrent use; all users of
// one Client share its pace. It never repeats a request that may have been applied:
// it says what is known about each record and leaves the patience to its caller.
type Client struct {
	http    *http.Client
	base    string
	query   map[Endpoint]string
	user    string
	pass    string
	timeout time.Duration

	maxEvents, maxProfiles, maxBytes int
	events, bytes                    *rate.Limiter

	hide  *strings.Replacer // takes secrets out of texts
	gzips sync.Pool
}

const (
	userAgent      = "muster"
	maxAnswerBytes = 1 << 20
)

// NewClient prepares a client. A nil *http.Client means one made for many small
// requests to one host; of another one the redirect policy is not used.
func NewClient(s Settings, client *http.Client) (*Client, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("mixpanel settings: %w", err)
	}
	if client == nil {
		client = &http.Client{Transport: newTransport()}
	}
	own := *client
	// A redirected POST becomes a GET, which would be answered but store nothing.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	c := &Client{
		http: &own, base: s.base(), timeout: time.Duration(cmp.Or(s.RequestTimeout, Duration(30*time.Second))),
		maxEvents: cmp.Or(s.MaxEventsPerRequest, maxRecords), maxProfiles: cmp.Or(s.MaxProfilesPerRequest, 200),
		maxBytes: cmp.Or(s.MaxRequestBytes, 2_000_000),
	}
	c.user, c.pass, _ = s.credentials()
	c.query = map[Endpoint]string{}
	for _, e := range [...]Endpoint{Import, Track, Engage, Groups} {
		c.query[e] = queryOf(&s, e).Encode()
	}
	perSecond := cmp.Or(s.EventsPerSecond, 25_000)
	c.events = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, c.maxEvents))
	bytesPerSecond := cmp.Or(s.BytesPerMinute, 1_800_000_000) / 60
	c.bytes = rate.NewLimiter(rate.Limit(bytesPerSecond), max(bytesPerSecond, c.maxBytes))

	var hidden []string
	for _, secret := range [...]Secret{s.ServiceAccountSecret, s.APISecret, s.Token} {
		if secret != "" {
			hidden = append(hidden, secret.Reveal(), mask)
		}
	}
	c.hide = strings.NewReplacer(hidden...)
	c.gzips.New = func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
		return w
	}
	return c, nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// Send delivers messages in their order and returns one outcome for each. Consecutive
// messages share a request as far as endpoint, class and limits allow. After an answer
// that is not about single records (a rate limit, an outage, refused credentials)
// nothing more is sent, and what was not sent gets the same outcome.
func (c *Client) Send(ctx context.Context, messages []Message) []engine.Outcome {
	outcomes, _ := c.send(ctx, messages)
	return outcomes
}

// send is Send that also tells why it stopped, nil if it did not.
func (c *Client) send(ctx context.Context, messages []Message) (outcomes []engine.Outcome, stop *engine.Outcome) {
	outcomes = make([]engine.Outcome, len(messages))
	for at := 0; at < len(messages); {
		n := c.fit(messages[at:])
		if stop = c.request(ctx, messages[at:at+n], outcomes[at:at+n]); stop != nil {
			fill(outcomes[at+n:], *stop)
			break
		}
		at += n
	}
	return outcomes, stop
}

// fit is how many of the leading messages go into one request.
func (c *Client) fit(messages []Message) int {
	first := &messages[0]
	limit := c.maxProfiles
	switch first.Class {
	case ClassEvent:
		limit = c.maxEvents
	case ClassIdentity:
		limit = 1
	case ClassProfile, ClassIncrement:
	}
	size := len("[]")
	for i := range messages {
		m := &messages[i]
		size += len(m.Body) + len(",")
		if i > 0 && (i == limit || m.Endpoint != first.Endpoint || m.Class != first.Class || size > c.maxBytes) {
			return i
		}
	}
	return len(messages)
}

// request sends one request and fills in the outcomes of its records. Where the answer does
// not tell which record is bad, halves find it: repeating is harmless, except for increments.
// The returned outcome, if any, is for everything that must not be sent now.
func (c *Client) request(ctx context.Context, messages []Message, outcomes []engine.Outcome) (stop *engine.Outcome) {
	a := c.post(ctx, messages)
	increments := messages[0].Class == ClassIncrement
	switch a.verdict {
	case accepted, partly:
		for i := range outcomes {
			outcomes[i] = engine.Outcome{}
			if why, bad := a.failed[i]; bad {
				outcomes[i] = engine.Outcome{Verdict: engine.Rejected, Code: a.code, Reason: why}
			}
		}
	case refused, tooBig:
		switch {
		case len(messages) == 1:
			outcomes[0] = a.outcome(engine.Rejected)
		case increments && a.verdict == refused:
			fill(outcomes, a.outcome(engine.Uncertain))
		default:
			half := len(messages) / 2
			if stop = c.request(ctx, messages[:half], outcomes[:half]); stop != nil {
				fill(outcomes[half:], *stop)
				return stop
			}
			return c.request(ctx, messages[half:], outcomes[half:])
		}
	case unprocessed, unclear:
		again := a.outcome(engine.Retry)
		fill(outcomes, again)
		if increments && a.verdict == unclear {
			fill(outcomes, a.outcome(engine.Uncertain))
		}
		return &again
	case halted:
		halt := a.outcome(engine.Halt)
		fill(outcomes, halt)
		return &halt
	}
	return nil
}

func (a *answer) outcome(v engine.Verdict) engine.Outcome {
	return engine.Outcome{Verdict: v, Code: a.code, Reason: a.reason, RetryAfter: a.retryAfter}
}

func fill(outcomes []engine.Outcome, o engine.Outcome) {
	for i := range outcomes {
		outcomes[i] = o
	}
}

// post sends messages of one endpoint as one request and reads the answer.
func (c *Client) post(ctx context.Context, messages []Message) answer {
	endpoint := messages[0].Endpoint
	size := len("[]")
	for i := range messages {
		size += len(messages[i].Body) + len(",")
	}
	if err := c.pace(ctx, messages[0].Class, len(messages), size); err != nil {
		return answer{verdict: unprocessed, code: codeCanceled, reason: "stopped before the request was sent"}
	}
	body, encoding := c.encode(endpoint, messages, size)
	status, header, text, failure := c.exchange(ctx, endpoint, c.user, c.pass, body, encoding)
	a := failure
	if status != 0 {
		a = judge(endpoint, messages, status, header, text)
	}
	a.reason = c.presentable(a.reason)
	for i, why := range a.failed {
		a.failed[i] = c.presentable(why)
	}
	return a
}

// pace waits until Mixpanel's limits allow the request.
func (c *Client) pace(ctx context.Context, class Class, records, size int) error {
	if class == ClassEvent || class == ClassIdentity {
		if err := c.events.WaitN(ctx, min(records, c.events.Burst())); err != nil {
			return err
		}
	}
	return c.bytes.WaitN(ctx, min(size, c.bytes.Burst()))
}

// encode joins the records to a JSON list. Only /import is known to take gzip gladly; the
// profile endpoints do not support it.
func (c *Client) encode(e Endpoint, messages []Message, size int) (body []byte, encoding string) {
	if e != Import {
		joined := bytes.NewBuffer(make([]byte, 0, size))
		joinRecords(joined, messages)
		return joined.Bytes(), ""
	}
	var packed bytes.Buffer
	w := c.gzips.Get().(*gzip.Writer)
	w.Reset(&packed)
	joinRecords(w, messages)
	_ = w.Close() // a bytes.Buffer takes everything
	c.gzips.Put(w)
	return packed.Bytes(), "gzip"
}

func joinRecords(w io.Writer, messages []Message) {
	separator := []byte("[")
	for i := range messages {
		_, _ = w.Write(separator) // to memory
		_, _ = w.Write(messages[i].Body)
		separator = []byte(",")
	}
	_, _ = w.Write([]byte("]"))
}

// exchange sends a body and returns the answer's status, header and text. Without an answer
// status is 0, and failure says whether anything can have been applied.
func (c *Client) exchange(ctx context.Context, e Endpoint, user, pass string, body []byte, encoding string) (
	status int, header http.Header, text []byte, failure answer,
) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// Nothing can have arrived unless there was a connection, with TLS if asked for.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+string(e)+"?"+c.query[e], bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, answer{verdict: halted, code: codeUnexpected, reason: "the address is unusable; check base_url"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	if e == Import {
		req.SetBasicAuth(user, pass)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, broken(err, connected.Load())
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil && resp.StatusCode < 300 {
		return 0, nil, nil, broken(err, true)
	}
	return resp.StatusCode, resp.Header, text, answer{}
}

// broken is the answer when there was none.
func broken(err error, connected bool) answer {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the address
	}
	a := answer{verdict: unclear, code: codeLost, reason: "the connection broke before the answer: " + err.Error()}
	switch {
	case !connected:
		a = answer{verdict: unprocessed, code: codeUnreachable, reason: "no connection: " + err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		a.code, a.reason = codeTimeout, "no answer in time"
	}
	if errors.Is(err, context.Canceled) {
		a.code, a.reason = codeCanceled, "stopped while waiting for the answer"
	}
	return a
}

// maxReason is how much of somebody else's text an outcome repeats.
const maxReason = 500

// presentable makes a text fit for logs: no secrets, one line, not too long.
func (c *Client) presentable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, c.hide.Replace(text))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
