package mixpaneltest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// answer is what a request is told.
type answer struct {
	status      int
	contentType string
	retryAfter  time.Duration
	body        []byte
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(1, a.retryAfter.Round(time.Second)/time.Second))))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone; that is its affair
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return answer{status: http.StatusInternalServerError, contentType: "text/plain", body: []byte(err.Error())}
	}
	return answer{status: status, contentType: "application/json", body: body}
}

// importAnswer is the shape of every answer of /import.
type importAnswer struct {
	Code     int    `json:"code"`
	Error    string `json:"error,omitzero"`
	Imported *int   `json:"num_records_imported,omitzero"`
	Status   string `json:"status"`
	Failed   any    `json:"failed_records,omitzero"` // []FailedRecord, or []string in one case
}

func imported(n int) answer {
	return jsonAnswer(http.StatusOK, importAnswer{Code: http.StatusOK, Imported: &n, Status: "OK"})
}

// importRefusal is a 400 of /import; failed is nil, []FailedRecord or []string.
func importRefusal(message string, n int, failed any) answer {
	if failed == nil {
		failed = []FailedRecord{}
	}
	return jsonAnswer(http.StatusBadRequest, importAnswer{
		Code: http.StatusBadRequest, Error: message, Imported: &n, Status: http.StatusText(http.StatusBadRequest), Failed: failed,
	})
}

const validationFailed = "some data points in the request failed validation"

func unauthorized(message string) answer {
	return jsonAnswer(http.StatusUnauthorized, importAnswer{Code: http.StatusUnauthorized, Error: message, Status: "Unauthorized"})
}

func tooLarge(limit int) answer {
	return jsonAnswer(http.StatusRequestEntityTooLarge, importAnswer{
		Code:   http.StatusRequestEntityTooLarge,
		Error:  fmt.Sprintf("request exceeds max limit of %d bytes", limit),
		Status: http.StatusText(http.StatusRequestEntityTooLarge),
	})
}

func rateLimited() answer {
	return jsonAnswer(http.StatusTooManyRequests, importAnswer{
		Code:   http.StatusTooManyRequests,
		Error:  "Project exceeded rate limits. Please retry the request with exponential backoff.",
		Status: http.StatusText(http.StatusTooManyRequests),
	})
}

// gatewayError is what stands before Mixpanel answers when it cannot; not JSON.
func gatewayError(status int) answer {
	text := fmt.Sprintf("<html><head><title>%d %s</title></head></html>\n", status, http.StatusText(status))
	return answer{status: status, contentType: "text/html; charset=utf-8", body: []byte(text)}
}

// flag answers /track, /engage and /groups: 1 or 0, in the form that was asked
// for. The HTTP status is 200 in both cases. message is "" for 1.
func (c *call) flag(message string) answer {
	status := 1
	if message != "" {
		status = 0
	}
	if c.query.Get("img") == "1" {
		return answer{status: http.StatusOK, contentType: "image/gif", body: pixel}
	}
	body := strconv.Itoa(status)
	contentType := "text/plain; charset=utf-8"
	if c.verbose {
		verdict := struct {
			Status int     `json:"status"`
			Error  *string `json:"error"`
		}{Status: status}
		if message != "" {
			verdict.Error = &message
		}
		a := jsonAnswer(http.StatusOK, verdict)
		body, contentType = string(a.body), a.contentType
	}
	if f := c.query.Get("callback"); f != "" && plainCallback(f) {
		body, contentType = f+"("+body+");", "application/javascript"
	}
	return answer{status: http.StatusOK, contentType: contentType, body: []byte(body)}
}

func plainCallback(f string) bool {
	return strings.IndexFunc(f, func(r rune) bool {
		return !(r == '_' || r == '.' || r == '$' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) < 0
}

// pixel is a transparent GIF, one by one.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// faultAnswer is what a fault makes of the request, or ok = false if the answer stays.
func (c *call) faultAnswer() (a answer, ok bool) {
	f := c.fault
	switch f.Kind {
	case FaultStatus:
		switch f.Status {
		case http.StatusTooManyRequests:
			a = rateLimited()
		case http.StatusRequestEntityTooLarge:
			a = tooLarge(c.server.options.Limits.RequestBytes)
		case http.StatusUnauthorized:
			a = unauthorized("Invalid credentials")
		case 0:
			a = gatewayError(http.StatusServiceUnavailable)
		default:
			a = gatewayError(f.Status)
		}
		a.retryAfter = f.RetryAfter
		return a, true
	case FaultWrongJSON:
		return answer{status: http.StatusOK, contentType: "application/json", body: []byte(`{"code":200,"sta`)}, true
	case FaultZero:
		if c.endpoint == Import {
			return importRefusal(validationFailed, 0, nil), true
		}
		return c.flag("refused by the fault script"), true
	case FaultStrings:
		message := f.Message
		if message == "" {
			message = identityRefused
		}
		if c.endpoint == Import {
			return importRefusal(validationFailed, 0, []string{message}), true
		}
		return c.flag(message), true
	default: // the others delay, cut off or refuse records; the answer stays
		return answer{}, false
	}
}

// identityRefused is what a simplified project says to an identity event.
const identityRefused = "identity events are not allowed when project is using simplified identity management"
