package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/identity"
	"muster/store"
)

// maxBody is how large the body of a request may be, in bytes: enough for 5,000 ids.
const maxBody = 2 << 20

// request is a request with what is known of it.
type request struct {
	*http.Request
	api    *API
	route  *route
	holder store.TokenHolder
	query  url.Values
}

// read looks at the address of the request, all of which must be text.
func (r *request) read() error {
	var err error
	if r.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return bad("", "the query cannot be read: write % as %25, + as %2B and ; as %3B")
	}
	if !storable(r.URL.Path) {
		return bad("", "the path holds bytes that are no text")
	}
	for name, values := range r.query {
		switch {
		case r.route.dialect.knownParams && !slices.Contains(r.route.params, name):
			return bad(name, "there is no such parameter here; there are: "+orNone(strings.Join(r.route.params, ", ")))
		case slices.ContainsFunc(values, func(v string) bool { return !storable(v) }):
			return bad(name, "it holds bytes that are no text")
		case len(values) > 1:
			return bad(name, "it stands twice")
		}
	}
	return nil
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// storable tells whether the database can hold a text.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// body reads the body, a JSON object, into a value. Fields that it does not know are errors.
func (r *request) body(into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &fault{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	}
	if err != nil {
		return bad("", "the body broke off")
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	if f := unstorable(text); f != nil {
		return f
	}
	if jsontext.Value(text).Kind() != '{' {
		return unfit("", "the body must be a JSON object")
	}
	err = json.Unmarshal(text, into, json.RejectUnknownMembers(true))
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		field := fieldOf(wrong.JSONPointer)
		if errors.Is(wrong, json.ErrUnknownName) {
			return unfit(field, "there is no such field; "+descriptionYAML+" lists those there are")
		}
		return unfit(field, "it does not fit: "+wrong.JSONKind.String()+" stands where something else belongs; "+descriptionYAML+" says what")
	}
	if err != nil {
		return bad("", "the body is no JSON object: "+err.Error())
	}
	return nil
}

// unstorable finds syntax errors, and texts with the character U+0000.
func unstorable(text []byte) *fault {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
				return bad(fieldOf(wrong.JSONPointer), fmt.Sprintf("the body is no JSON: %v at byte %d", wrong.Err, wrong.ByteOffset))
			}
			return bad("", "the body is no JSON")
		}
		if token.Kind() == '"' && strings.ContainsRune(token.String(), 0) {
			return unfit(fieldOf(d.StackPointer()), "it holds the character U+0000, which cannot be stored")
		}
	}
}

// fieldOf is a place in a body as people write it: connections[0].emit.
func fieldOf(p jsontext.Pointer) string {
	var b strings.Builder
	for name := range p.Tokens() {
		switch _, err := strconv.Atoi(name); {
		case err == nil:
			b.WriteString("[" + name + "]")
		case b.Len() > 0:
			b.WriteString("." + name)
		default:
			b.WriteString(name)
		}
	}
	return b.String()
}

// number is a parameter that is a whole number between bounds.
func (r *request) number(name string, otherwise, least, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, bad(name, fmt.Sprintf("%q is no whole number from %d to %d", text, least, most))
	}
	return n, nil
}

// choice is a parameter that is one of some words, "" if it is absent.
func (r *request) choice(name string, words ...string) (string, error) {
	text := r.query.Get(name)
	if text != "" && !slices.Contains(words, text) {
		return "", bad(name, fmt.Sprintf("%q is none of %s", text, strings.Join(words, ", ")))
	}
	return text, nil
}

// list is a parameter of words with commas between them, nil if it is absent.
func (r *request) list(name string) []string {
	var words []string
	for word := range strings.SplitSeq(r.query.Get(name), ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// instant is a parameter that is an instant or a day in UTC, nil if it is absent.
func (r *request) instant(name string) (*time.Time, error) {
	text := r.query.Get(name)
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 0 {
			return new(t.UTC()), nil
		}
	}
	return nil, bad(name, fmt.Sprintf("%q is no instant; write it like 2026-05-01T12:00:00Z or 2026-05-01", text))
}

// externalID reads TYPE:VALUE, which is split at the first colon. Without a type it is of the type given; "": it needs one.
func externalID(field, text, typ string) (identity.ID, error) {
	before, value, found := strings.Cut(text, ":")
	if found {
		typ = before
	} else {
		value = text
	}
	id := identity.ID{Type: typ, Value: value}.Normal()
	if id.Type == "" || id.Value == "" {
		return id, bad(field, fmt.Sprintf("%q is no external id; write TYPE:VALUE, such as user_id:kim or email:kim@example.net", text))
	}
	return id, nil
}
