package mixpanel

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// verdict says what an answer means for the records of its request.
type verdict uint8

const (
	accepted    verdict = iota // all were applied
	partly                     // failed tells which ones were not; all others were
	refused                    // something in it is wrong, but not what; it may be applied in part
	tooBig                     // nothing was applied, the request is too large
	unprocessed                // nothing was applied, for no fault of the records
	unclear                    // everything may have been applied, or nothing
	halted                     // nothing was applied and nothing will be until somebody changes the settings
)

// answer is what became of a request.
type answer struct {
	verdict    verdict
	code       string
	reason     string
	retryAfter time.Duration
	failed     map[int]string // why, by the record's place in the request
}

// Codes of outcomes that the wire causes. They are stable.
const (
	codeRefused      = "refused"
	codeIdentity     = "identity_events_refused"
	codeUnauthorized = "unauthorized"
	codeRedirected   = "redirected"
	codeUnexpected   = "unexpected_status"
	codeRateLimited  = "rate_limited"
	codeServerError  = "server_error"
	codeUnreadable   = "unreadable_answer"
	codeUnreachable  = "unreachable"
	codeLost         = "connection_lost"
	codeTimeout      = "timeout"
	codeCanceled     = "canceled"
	codePartly       = "partly_applied"
)

// report is the union of all bodies that Mixpanel answers with.
type report struct {
	Code   int            `json:"code"`
	Error  string         `json:"error"`
	Status jsontext.Value `json:"status"` // 0 or 1, or a word
	Failed []failedRecord `json:"failed_records"`
}

// failedRecord is an object, or only a text when Mixpanel refuses the whole request.
type failedRecord struct {
	Index     *int   `json:"index"`
	InsertID  string `json:"insert_id"`
	InsertID2 string `json:"$insert_id"` // how the prose of Mixpanel's documentation names it
	Field     string `json:"field"`
	Message   string `json:"message"`
}

// UnmarshalJSONFrom reads either form.
func (f *failedRecord) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		return json.UnmarshalDecode(dec, &f.Message)
	}
	type object failedRecord
	return json.UnmarshalDecode(dec, (*object)(f))
}

func (f *failedRecord) reason() string {
	if f.Field == "" || strings.Contains(f.Message, f.Field) {
		return f.Message
	}
	return f.Field + ": " + f.Message
}

// judge reads an answer to a request with these messages.
func judge(e Endpoint, messages []Message, status int, header http.Header, body []byte) answer {
	switch {
	case status == http.StatusOK:
		return judgeOK(e, messages, body)
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return judgeBad(messages, body)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return answer{verdict: halted, code: codeUnauthorized, reason: "Mixpanel refuses the credentials (" + status3(status) + saying(body) + "); check them and the region"}
	case status == http.StatusRequestEntityTooLarge:
		return answer{verdict: tooBig, code: string(CodeTooLarge), reason: "Mixpanel finds the record too large" + saying(body)}
	case status == http.StatusTooManyRequests:
		return answer{
			verdict: unprocessed, code: codeRateLimited, retryAfter: retryAfter(header),
			reason: "Mixpanel's rate limit is reached" + saying(body),
		}
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return answer{
			verdict: unclear, code: codeServerError, retryAfter: retryAfter(header),
			reason: "Mixpanel answers " + status3(status),
		}
	case status >= 300 && status < 400:
		return answer{verdict: halted, code: codeRedirected, reason: "the server redirects (" + status3(status) + "); set base_url or region to the address it really has"}
	}
	return answer{verdict: halted, code: codeUnexpected, reason: "the server answers " + status3(status) + saying(body) + "; check base_url"}
}

func status3(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// readReport reads a body; ok is false when it is no JSON object.
func readReport(body []byte) (r report, ok bool) {
	err := json.Unmarshal(body, &r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return r, err == nil && jsontext.Value(body).Kind() == '{'
}

// saying quotes the error in a body, if there is one.
func saying(body []byte) string {
	if r, ok := readReport(body); ok && r.Error != "" {
		return ": " + r.Error
	}
	return ""
}

// judgeOK reads an answer with status 200. /engage, /groups and /track give it to
// invalid data too and say 0 in the body.
func judgeOK(e Endpoint, messages []Message, body []byte) answer {
	text := strings.TrimSpace(string(body))
	r, isReport := readReport(body)
	switch {
	case isReport && (len(r.Failed) > 0 || r.Code >= 400):
		return judgeBad(messages, body)
	case isReport && e == Import && r.Code == http.StatusOK,
		isReport && e != Import && (string(r.Status) == "1" || r.Code == http.StatusOK),
		e != Import && text == "1":
		return answer{verdict: accepted}
	case e != Import && (text == "0" || isReport && string(r.Status) == "0"):
		return refusal("Mixpanel finds invalid data" + saying(body))
	}
	return answer{verdict: unclear, code: codeUnreadable, reason: "the answer is not one of Mixpanel's; check base_url"}
}

// judgeBad reads an answer that complains about the data. Where it lists failed records by
// their place, every other record was applied.
func judgeBad(messages []Message, body []byte) answer {
	r, _ := readReport(body)
	failed := make(map[int]string, len(r.Failed))
	for _, f := range r.Failed {
		i, ok := place(&f, messages)
		if !ok {
			return refusal("Mixpanel refuses the request: " + f.reason())
		}
		failed[i] = "Mixpanel refuses the record: " + f.reason()
	}
	if len(failed) == 0 {
		return refusal("Mixpanel refuses the request" + saying(body))
	}
	return answer{verdict: partly, code: codeRefused, failed: failed}
}

// place finds the record that f is about.
func place(f *failedRecord, messages []Message) (int, bool) {
	if f.Index != nil {
		return *f.Index, *f.Index >= 0 && *f.Index < len(messages)
	}
	id := cmp.Or(f.InsertID, f.InsertID2)
	for i := range messages {
		if id != "" && messages[i].InsertID == id {
			return i, true
		}
	}
	return 0, false
}

// refusal is the answer to a request in which something is wrong. One cause is a setting
// here that contradicts the project there, so it is named.
func refusal(reason string) answer {
	if strings.Contains(reason, "identity events are not allowed") {
		return answer{
			verdict: refused, code: codeIdentity,
			reason: reason + "; the Mixpanel project uses simplified id merge: set id_merge to simplified",
		}
	}
	return answer{verdict: refused, code: codeRefused, reason: reason}
}

// retryAfter reads how long to wait: seconds, or an instant that is compared with the
// server's own clock. 0 when the server does not say.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, until.Sub(date))
}
