package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"

	"github.com/go-json-experiment/json"
)

// sealLength is how much of a cursor's seal is kept, in bytes.
const sealLength = 16

// Cursors are places in a list. They are sealed with the hash of the token, together with what was
// asked for: so they cannot be made up, and lead on in no other list, nor for another token.

// seal writes a place as a cursor.
func (r *request) seal(place any) (string, error) {
	text, err := json.Marshal(place)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(r.sealOf(text), text...)), nil
}

// place reads the cursor of the request; false: it has none.
func (r *request) place(into any) (bool, error) {
	name := r.route.dialect.cursorParam
	text := r.query.Get(name)
	if text == "" {
		return false, nil
	}
	wrong := bad(name, "it is no cursor of this list; take the one of the page before, with the same token and parameters")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < sealLength || !hmac.Equal(sealed[:sealLength], r.sealOf(sealed[sealLength:])) {
		return false, wrong
	}
	if json.Unmarshal(sealed[sealLength:], into) != nil {
		return false, wrong
	}
	return true, nil
}

func (r *request) sealOf(place []byte) []byte {
	asked := maps.Clone(r.query)
	asked.Del(r.route.dialect.cursorParam)
	asked.Del(r.route.dialect.countParam)
	mac := hmac.New(sha256.New, r.holder.Hash[:])
	mac.Write([]byte(r.URL.EscapedPath() + "?" + asked.Encode() + "\n")) // Encode sorts
	mac.Write(place)
	return mac.Sum(nil)[:sealLength]
}
