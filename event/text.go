package event

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Text is the text of a JSON string or number, false for any other value. A number
// becomes its exact decimal digits: 1e6 is "1000000", 7.0 is "7", and no digit of a
// large one is lost.
func Text(v jsontext.Value) (string, bool) {
	switch v.Kind() {
	case '"':
		return string(unquoted(trimSpace(v))), true
	case '0':
		return decimal(string(trimSpace(v)))
	}
	return "", false
}

// decimal writes a JSON number without exponent, trailing zeros of its fraction,
// or a sign before zero. It is false for numbers that no client means as text.
func decimal(n string) (string, bool) {
	if len(n) > maxNumberBytes {
		return "", false
	}
	exp := 0
	if e := strings.IndexAny(n, "eE"); e >= 0 {
		var err error
		if exp, err = strconv.Atoi(n[e+1:]); err != nil || exp > maxNumberExponent || exp < -maxNumberExponent {
			return "", false
		}
		n = n[:e]
	}
	n, negative := strings.CutPrefix(n, "-")
	whole, fraction, _ := strings.Cut(n, ".")
	if exp > 0 {
		fraction += strings.Repeat("0", max(0, exp-len(fraction)))
		whole, fraction = whole+fraction[:exp], fraction[exp:]
	} else if exp < 0 {
		whole = strings.Repeat("0", max(0, -exp-len(whole))) + whole
		cut := len(whole) + exp
		whole, fraction = whole[:cut], whole[cut:]+fraction
	}
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	text := whole
	if fraction != "" {
		text += "." + fraction
	}
	if negative && text != "0" {
		text = "-" + text
	}
	return text, true
}

// NewMessageID is a fresh message id for a call that came without one: "api-" and
// a random UUID.
func NewMessageID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // documented never to fail
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return "api-" + string(text[:])
}
