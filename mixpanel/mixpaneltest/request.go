package mixpaneltest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Endpoint is one of Mixpanel's ingestion endpoints: its path without the slash.
type Endpoint string

// The endpoints.
const (
	Import Endpoint = "import"
	Track  Endpoint = "track"
	Engage Endpoint = "engage"
	Groups Endpoint = "groups"
)

var endpoints = [...]Endpoint{Import, Track, Engage, Groups}

// gzips tells whether the endpoint takes compressed bodies.
func (e Endpoint) gzips() bool { return e == Import || e == Track }

// call is one request to an endpoint while it is being served.
type call struct {
	server   *Server
	request  *http.Request
	number   int
	endpoint Endpoint
	now      time.Time
	query    url.Values // with the fields of a form
	strict   bool
	verbose  bool
	locate   bool // records without an address are located by the request's

	body    []byte
	records []jsontext.Value
	project *project // of the credentials, on /import
	fault   *Fault

	violations []Violation
	good       int // records that were taken
	wire       int // bytes of the body as sent

	keys, properties nameSet // scratch
	flight           flightPlan
}

// violate notes that record index, or the request if it is -1, breaks a rule.
func (c *call) violate(index int, rule Rule, detail string) {
	c.violations = append(c.violations, Violation{
		Time: c.now, Request: c.number, Endpoint: c.endpoint, Index: index, Rule: rule, Detail: detail,
	})
}

// bodies are the buffers of finished requests.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

var (
	errTooLarge = errors.New("request exceeds max limit")
	errGone     = errors.New("the sender stopped in the middle of the body")
)

// read takes the body in, uncompressed and out of its form. It always reads the
// request to its end, without which Go's server cannot notice that the client left.
func (c *call) read(buf *bytes.Buffer) error {
	limit := int64(c.server.options.Limits.RequestBytes)
	wire := &countingReader{r: c.request.Body}
	var from io.Reader = wire
	switch encoding := c.request.Header.Get("Content-Encoding"); {
	case encoding == "" || encoding == "identity":
	case encoding == "gzip" && c.endpoint.gzips():
		z, err := gzip.NewReader(wire)
		if err != nil {
			return fmt.Errorf("the body is not gzip: %w", err)
		}
		from = z
	case encoding == "gzip":
		c.violate(-1, RuleGzip, "the endpoint does not support it")
		_, _ = io.Copy(io.Discard, wire)
		return errors.New("the endpoint does not support gzip encoding")
	default:
		_, _ = io.Copy(io.Discard, wire)
		return fmt.Errorf("unknown content encoding %q", encoding)
	}
	n, err := buf.ReadFrom(io.LimitReader(from, limit+1))
	if err == nil && n <= limit { // a gzip reader stops at its trailer
		_, err = io.Copy(io.Discard, wire)
	}
	c.wire = wire.n
	switch {
	case wire.err != nil:
		return fmt.Errorf("%w: %w", errGone, wire.err)
	case err != nil:
		return fmt.Errorf("the body cannot be read: %w", err)
	case n > limit:
		_, _ = io.Copy(io.Discard, io.LimitReader(wire, 4*limit))
		return errTooLarge
	}
	c.body = buf.Bytes()
	return c.unwrap()
}

// unwrap replaces the body by the data in it: the field data of a form or of a GET,
// as JSON or base64, is what older SDKs send.
func (c *call) unwrap() error {
	kind, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	switch {
	case c.request.Method == http.MethodGet:
		c.body = []byte(c.query.Get("data"))
	case kind == "application/x-www-form-urlencoded" && c.endpoint != Import:
		form, err := url.ParseQuery(string(c.body))
		if err != nil {
			return fmt.Errorf("the form cannot be read: %w", err)
		}
		for name, values := range form {
			c.query[name] = append(values, c.query[name]...)
		}
		c.body = []byte(c.query.Get("data"))
	default:
		return nil
	}
	data := bytes.TrimSpace(c.body)
	if len(data) == 0 {
		return errors.New("data, missing or empty")
	}
	if data[0] == '[' || data[0] == '{' {
		return nil
	}
	text := strings.NewReplacer("-", "+", "_", "/", "=", "", " ", "+").Replace(string(data))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return errors.New("data, must be JSON or base64 of JSON")
	}
	c.body = decoded
	return nil
}

// split finds the records in the body.
func (c *call) split() (err error) {
	kind, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	var single bool
	switch {
	case c.endpoint != Import:
		c.records, _, err = splitArray(c.body)
	case kind == "application/x-ndjson":
		c.records, err = splitLines(c.body)
	case kind == "application/json":
		if c.records, single, err = splitArray(c.body); err == nil && single {
			err = errors.New("the body must be a list of events, it is one object")
		}
	default:
		return fmt.Errorf("unsupported content type %q, use application/json or application/x-ndjson", kind)
	}
	if err != nil {
		return fmt.Errorf("the body cannot be read: %w", err)
	}
	return nil
}

// readOptions takes the parameters of the query, and of the form if there was one.
func (c *call) readOptions() {
	on := func(name string) bool { v := c.query.Get(name); return v != "" && v != "0" }
	c.verbose = on("verbose")
	switch c.endpoint {
	case Import:
		c.strict = c.query.Get("strict") != "0" // the default is 1
		c.locate = true                         // there is no parameter to switch it off
	case Track:
		c.locate = on("ip")
	default:
		c.strict = on("strict")
		c.locate = c.query.Get("ip") != "0" // two documents disagree; this is the harmful default
		if c.query.Get("ip") != "0" {
			c.violate(-1, RuleMissingIP, "users without an address are located where the request comes from")
		}
	}
}

// countingReader counts what it reads, and keeps the error of a broken connection.
type countingReader struct {
	r   io.Reader
	n   int
	err error
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += n
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
