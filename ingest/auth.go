package ingest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// maxWriteKey is the length, in bytes, above which no text is taken for a write key.
const maxWriteKey = 256

// headerKey is the write key in the Authorization header, "" if there is none. It
// is the user name of Basic authentication, with or without the colon behind it. A
// Bearer token names no source; such a request carries its key in the body.
func headerKey(r *http.Request) string {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	text, err := decodeBase64(strings.TrimSpace(credentials))
	if err != nil {
		return ""
	}
	key, _, _ := strings.Cut(string(text), ":")
	return key
}

// decodeBase64 reads any common form: standard or URL alphabet, padded or not, and
// with the spaces that a plus sign becomes in a query.
func decodeBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}
