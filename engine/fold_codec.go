package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"muster/query"
)

// The binary form of a State: a version byte, N, then what the reducer needs. Numbers
// are varints, times are microseconds since 1970, values are JSON up to the end.
const codecVersion = 1

var errState = errors.New("the state of a leaf is damaged")

// appendState appends the binary form of the state.
func appendState(b []byte, l *query.Leaf, s *State) []byte {
	b = append(b, codecVersion)
	if !l.Foldable {
		next := int64(0)
		if !s.NextLook.IsZero() {
			next = s.NextLook.UnixMicro()
		}
		return s.Replayed.AppendJSON(binary.AppendVarint(b, next))
	}
	b = binary.AppendVarint(b, s.N)
	switch l.Reducer.Op {
	case query.OpCount:
	case query.OpSum, query.OpAvg:
		b = appendDecimal(b, s.Total)
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		if s.N > 0 {
			b = binary.AppendVarint(b, s.Best.Time.UnixMicro())
			b = binary.AppendVarint(b, s.Best.Arrival)
			b = s.Best.Value.AppendJSON(b)
		}
	case query.OpMode, query.OpUnique:
		b = binary.AppendVarint(b, s.Dropped)
		values := make([]string, 0, len(s.Counts))
		for v := range s.Counts {
			values = append(values, v)
		}
		slices.Sort(values)
		for _, v := range values {
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
			b = binary.AppendVarint(b, s.Counts[v])
		}
	}
	return b
}

// parseState reads what appendState wrote.
func parseState(b []byte, l *query.Leaf) (State, error) {
	var s State
	if len(b) == 0 || b[0] != codecVersion {
		return s, fmt.Errorf("%w: its form is not known", errState)
	}
	r := stateReader{b: b[1:]}
	if !l.Foldable {
		if next := r.varint(); next != 0 {
			s.NextLook = time.UnixMicro(next).UTC()
		}
		s.Replayed = r.value()
		return s, r.err
	}
	s.N = r.varint()
	switch l.Reducer.Op {
	case query.OpCount:
	case query.OpSum, query.OpAvg:
		s.Total = r.decimal()
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		if s.N > 0 {
			s.Best.Time = time.UnixMicro(r.varint()).UTC()
			s.Best.Arrival = r.varint()
			s.Best.Value = r.value()
		}
	case query.OpMode, query.OpUnique:
		s.Dropped = r.varint()
		if len(r.b) > 0 {
			s.Counts = make(map[string]int64, 4)
		}
		for len(r.b) > 0 && r.err == nil {
			v := string(r.bytes())
			s.Counts[v] = r.varint()
		}
	}
	return s, r.err
}

// appendDecimal writes the exponent and the coefficient, which mostly fits a varint.
func appendDecimal(b []byte, d decimal.Decimal) []byte {
	b = binary.AppendVarint(b, int64(d.Exponent()))
	c := d.Coefficient()
	if c.IsInt64() {
		return binary.AppendVarint(append(b, 0), c.Int64())
	}
	sign := byte(1)
	if c.Sign() < 0 {
		sign = 2
	}
	raw := c.Bytes()
	b = binary.AppendUvarint(append(b, sign), uint64(len(raw)))
	return append(b, raw...)
}

// stateReader reads binary forms; after the first fault it reads zeros.
type stateReader struct {
	b   []byte
	err error
}

func (r *stateReader) fail() { r.b, r.err = nil, errState }

func (r *stateReader) varint() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *stateReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *stateReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *stateReader) value() query.Value {
	v, err := query.ParseValue(r.b)
	if err != nil {
		r.fail()
	}
	r.b = nil
	return v
}

func (r *stateReader) decimal() decimal.Decimal {
	exponent := r.varint()
	if len(r.b) == 0 {
		r.fail()
		return decimal.Decimal{}
	}
	form := r.b[0]
	r.b = r.b[1:]
	if form == 0 {
		return decimal.New(r.varint(), int32(exponent))
	}
	c := new(big.Int).SetBytes(r.bytes())
	if form == 2 {
		c.Neg(c)
	}
	return decimal.NewFromBigInt(c, int32(exponent))
}
