package api

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"muster/store"
)

// DefaultRate is how many requests per second a token may make.
const DefaultRate = 100

// maxToken is the length, in bytes, above which no text is taken for a token.
const maxToken = 256

// admit finds out whose request it is, and whether it may be made now.
func (a *API) admit(w http.ResponseWriter, r *request) error {
	token := r.route.dialect.token(r.Request)
	if token == "" || len(token) > maxToken {
		return r.route.dialect.unauthorized(w)
	}
	holder, known, err := a.cfg.Tokens.Holder(r.Context(), token)
	switch {
	case err != nil:
		a.cfg.Log.Error("tokens cannot be looked up", "error", err)
		return &fault{status: http.StatusServiceUnavailable, message: "tokens cannot be looked up at present", wait: time.Second}
	case !known:
		return r.route.dialect.unauthorized(w)
	}
	r.holder = holder
	if wait := a.pace.take(w.Header(), holder.ID, a.cfg.Now()); wait > 0 {
		return &fault{status: http.StatusTooManyRequests, message: "the token has made too many requests in a second", wait: wait}
	}
	if r.route.scope == store.ScopeWrite && holder.Scope != store.ScopeWrite {
		return &fault{
			status:  http.StatusForbidden,
			message: "the token may only read; make one that may write: muster token create NAME --scope write",
		}
	}
	return nil
}

// bearer is the token of the Authorization header, "" if there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// basic is the token as the user name of Basic authentication, "" if there is none.
func basic(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return user
}

// pacer keeps a bucket for every token.
type pacer struct {
	rate    float64
	mu      sync.Mutex
	buckets map[int64]*rate.Limiter
}

// take takes a request off a token's rate, and says in the header what is left. If nothing
// is, it returns how long the client has to wait.
func (p *pacer) take(h http.Header, token int64, now time.Time) time.Duration {
	p.mu.Lock()
	if p.buckets == nil {
		p.buckets = make(map[int64]*rate.Limiter)
	}
	b := p.buckets[token]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(p.rate), int(math.Max(1, math.Ceil(p.rate))))
		p.buckets[token] = b
	}
	p.mu.Unlock()
	reservation := b.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	left := math.Max(0, b.TokensAt(now))
	full := time.Duration((float64(b.Burst()) - left) / p.rate * float64(time.Second))
	h.Set("X-RateLimit-Limit", strconv.Itoa(b.Burst()))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(int(left)))
	h.Set("X-RateLimit-Reset", seconds(full))
	return wait
}

// seconds writes a waiting time for a header: whole, at least one.
func seconds(d time.Duration) string { return strconv.Itoa(int(max(1, math.Ceil(d.Seconds())))) }
