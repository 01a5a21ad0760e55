package ingest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"muster/event"
)

// pixelGIF is a transparent image of one pixel.
const pixelGIF = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"

// pixel answers GET /v1/pixel/{type}: one call, as base64 in the parameter data or
// as plain parameters. It answers with the image whatever happens, because a mail
// must not show a broken one; the recorder sees what was wrong.
func (a *API) pixel(w http.ResponseWriter, r *http.Request, t event.Type) {
	a.answered(a.takePixel(r, t))
	w.Header().Set("Content-Type", "image/gif")
	w.Header().Set("Content-Length", strconv.Itoa(len(pixelGIF)))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixelGIF)) // the client may be gone
	}
}

// takePixel takes the call of a pixel. It gives the reason why not, which only
// APIConfig.OnAnswer hears.
func (a *API) takePixel(r *http.Request, t event.Type) *refusal {
	raw, ok := pixelMessage(r.URL.Query())
	if !ok {
		return refuse(http.StatusBadRequest, event.CodeInvalidFormat, "the data is no base64")
	}
	return a.take(r, request{receivedAt: a.cfg.Now(), key: headerKey(r), raw: raw, kind: t})
}

// pixelMessage is the message in a pixel's query.
func pixelMessage(query url.Values) ([]byte, bool) {
	if data := query.Get("data"); data != "" {
		raw, err := decodeBase64(data)
		return raw, err == nil
	}
	raw, err := json.Marshal(nest(query), json.Deterministic(true))
	return raw, err == nil
}

// nest makes objects of dotted names: properties.plan becomes the member plan of
// properties. A name that is used both as a value and as an object keeps the value.
func nest(query url.Values) map[string]any {
	message := map[string]any{}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		place := message
		path := strings.Split(name, ".")
		for _, step := range path[:len(path)-1] {
			if _, used := place[step]; !used {
				place[step] = map[string]any{}
			}
			inner, ok := place[step].(map[string]any)
			if !ok {
				place = nil
				break
			}
			place = inner
		}
		if place == nil {
			continue
		}
		if _, used := place[path[len(path)-1]]; !used {
			place[path[len(path)-1]] = query.Get(name)
		}
	}
	return message
}
