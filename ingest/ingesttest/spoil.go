// Package ingesttest makes requests for the Tracking API that are wrong in a way that is
// known: for tests that hold its answers, and what it stores, to that.
package ingesttest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"muster/event"
)

// Spoiled is a message that must be refused with a code, while its neighbours in a batch are stored.
type Spoiled struct {
	Text  string
	Code  event.Code
	Whole bool // it spoils the whole body, which must be answered 400 with the code
}

// Path is a path for single messages at which the message is refused for its own fault.
func (s Spoiled) Path() string {
	if s.Code == event.CodeGroupIDTooLong {
		return "/v1/group"
	}
	return "/v1/track"
}

// Alone tells whether the message is wrong where it is the only one, too: there the path
// says the type.
func (s Spoiled) Alone() bool { return s.Code != event.CodeInvalidType }

// Spoil makes a malformed message of a random kind.
func Spoil(dice *rand.Rand) Spoiled {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	word := func() string {
		return []string{"", "x", "é", `\n`, `\\`, `\"`, "😀", strings.Repeat("w", dice.IntN(500))}[dice.IntN(8)]
	}
	with := func(member string) string {
		return fmt.Sprintf(`{"type":"track","userId":"u","event":"E","properties":{"a":"%s"},%s}`, word(), member)
	}
	switch dice.IntN(20) {
	case 0:
		return Spoiled{with(`"context":{"a":"` + word() + "\xff" + `"}`), event.CodeInvalidUTF8, false}
	case 1:
		return Spoiled{with(`"context":{"a":"\ud83d` + "x" + word() + `"}`), event.CodeInvalidUTF8, false}
	case 2:
		return Spoiled{with(`"context":{"a` + word() + `":["\u0000"]}`), event.CodeInvalidCharacter, false}
	case 3:
		return Spoiled{with(`"traits":{"b":1,"c":{},"b":2}`), event.CodeDuplicateKey, false}
	case 4:
		return Spoiled{with(`"context":` + nested(event.MaxDepth+dice.IntN(5_000))), event.CodeTooDeep, false}
	case 5:
		return Spoiled{with(fmt.Sprintf(`"context":{"n":-%d.5e%d}`, dice.IntN(10), 401+dice.IntN(1e6))), event.CodeNumberOutOfRange, false}
	case 6:
		return Spoiled{with(`"context":{"n":` + strings.Repeat("7", 401+dice.IntN(1000)) + `}`), event.CodeNumberOutOfRange, false}
	case 7:
		return Spoiled{with(`"context":{"x":"` + strings.Repeat("x", event.DefaultMaxBytes) + `"}`), event.CodeMessageTooLarge, false}
	case 8:
		return Spoiled{fmt.Sprintf(`{"type":%q,"userId":"u"}`, []string{"", "Track", "charge", "track "}[dice.IntN(4)]), event.CodeInvalidType, false}
	case 9:
		return Spoiled{`{"type":"track","event":"E","userId":"","anonymousId":null}`, event.CodeNoUserAnonID, false}
	case 10:
		return Spoiled{`{"type":"track","userId":"u","event":` + []string{`""`, "null", "5", "{}", "[]"}[dice.IntN(5)] + `}`, event.CodeMissingEvent, false}
	case 11:
		return Spoiled{`{"type":"track","event":"E","userId":` + []string{"{}", "[]", "true", `["u"]`}[dice.IntN(4)] + `}`, event.CodeInvalidField, false}
	case 12:
		return Spoiled{with(`"context":` + []string{`"a"`, "1", "true", "[1]"}[dice.IntN(4)]), event.CodeInvalidField, false}
	case 13:
		return Spoiled{with(`"messageId":"` + strings.Repeat("m", 101+dice.IntN(200)) + `"`), event.CodeMessageIDTooLong, false}
	case 14:
		return Spoiled{with(`"timestamp":` + []string{`"1969-07-20"`, "-5", `"0002-01-01T00:00:00Z"`}[dice.IntN(3)]), event.CodeTimestampOutOfRange, false}
	case 15:
		return Spoiled{[]string{"1", "null", `"x"`, "[]", "[{}]", "false"}[dice.IntN(6)], event.CodeInvalidMessage, false}
	case 16:
		return Spoiled{`{"type":"group","userId":"u","groupId":` + []string{`"` + strings.Repeat("g", 501) + `"`}[0] + `}`, event.CodeGroupIDTooLong, false}
	case 17:
		return Spoiled{[]string{"{", "}", `{"a"}`, `{"a":}`, `{a:1}`, "nul", "01", "+1", `{"a":1,}`, "'x'", `"\x"`, "\x00", "{]"}[dice.IntN(13)], event.CodeInvalidJSON, true}
	case 18:
		good := with(`"context":{"b":[1,{"c":null}]}`)
		return Spoiled{good[:1+dice.IntN(len(good)-1)], event.CodeInvalidJSON, true}
	default:
		return Spoiled{with("\"a\":\"line\nbreak\""), event.CodeInvalidJSON, true}
	}
}

// alphabet holds the bytes that mean something to JSON, and some that never may.
const alphabet = "{}[]\",:\\0159-+.eEtfnu \x00\x7f\xff\xc3/<"

// Mutate changes, removes, inserts and repeats some bytes of a text at random.
func Mutate(dice *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + dice.IntN(4) {
		at := dice.IntN(len(b))
		switch dice.IntN(4) {
		case 0:
			b[at] = alphabet[dice.IntN(len(alphabet))]
		case 1:
			b = append(b[:at], b[at+1+dice.IntN(len(b)-at):]...)
		case 2:
			b = append(b[:at:at], append([]byte{alphabet[dice.IntN(len(alphabet))]}, b[at:]...)...)
		case 3:
			b = append(b, b[at:]...)
		}
		if len(b) == 0 {
			b = []byte{' '}
		}
	}
	return string(b)
}
