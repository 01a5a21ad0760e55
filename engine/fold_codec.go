package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/query"
)

// The binary form of the parts of a State that have no column of their own:
// a version byte, then what the reducer needs. Lengths, counts and times are
// varints; times are microseconds since 1970; values are JSON.
const codecVersion = 1

var errState = errors.New("state of a leaf is damaged")

// Encode is the binary form of the state without N and Total, nil when these say all.
func (s *State) Encode(l *query.Leaf) []byte {
	if !l.Foldable {
		next := int64(0)
		if !s.NextLook.IsZero() {
			next = s.NextLook.UnixMicro()
		}
		return s.Replayed.AppendJSON(binary.AppendVarint([]byte{codecVersion}, next))
	}
	switch l.Reducer.Op {
	case query.OpCount, query.OpSum, query.OpAvg:
		return nil
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		if s.N == 0 {
			return nil
		}
		b := []byte{codecVersion}
		b = binary.AppendVarint(b, s.Best.Time.UnixMicro())
		b = binary.AppendVarint(b, s.Best.Arrival)
		return s.Best.Value.AppendJSON(b)
	case query.OpMode, query.OpUnique:
		if len(s.Counts) == 0 && s.Dropped == 0 {
			return nil
		}
		values := make([]string, 0, len(s.Counts))
		for v := range s.Counts {
			values = append(values, v)
		}
		slices.Sort(values)
		b := binary.AppendUvarint([]byte{codecVersion}, uint64(s.Dropped))
		for _, v := range values {
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
			b = binary.AppendUvarint(b, uint64(s.Counts[v]))
		}
		return b
	}
	return nil
}

// Decode reads what Encode wrote into s, which already has N and Total.
func (s *State) Decode(l *query.Leaf, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != codecVersion {
		return fmt.Errorf("%w: version %d is not known", errState, b[0])
	}
	b = b[1:]
	if !l.Foldable {
		next, n := binary.Varint(b)
		if n <= 0 {
			return errState
		}
		if next != 0 {
			s.NextLook = time.UnixMicro(next).UTC()
		}
		v, err := query.ParseValue(b[n:])
		s.Replayed = v
		return err
	}
	switch l.Reducer.Op {
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		micros, n := binary.Varint(b)
		if n <= 0 {
			return errState
		}
		arrival, m := binary.Varint(b[n:])
		if m <= 0 {
			return errState
		}
		v, err := query.ParseValue(b[n+m:])
		if err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
		s.Best = Extreme{Value: v, Time: time.UnixMicro(micros).UTC(), Arrival: arrival}
	case query.OpMode, query.OpUnique:
		return s.decodeCounts(b)
	case query.OpCount, query.OpSum, query.OpAvg:
	}
	return nil
}

func (s *State) decodeCounts(b []byte) error {
	dropped, n := binary.Uvarint(b)
	if n <= 0 {
		return errState
	}
	s.Dropped = int64(dropped)
	b = b[n:]
	s.Counts = make(map[string]int64, 4)
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size {
			return errState
		}
		v := string(b[n : n+int(size)])
		b = b[n+int(size):]
		count, m := binary.Uvarint(b)
		if m <= 0 {
			return errState
		}
		s.Counts[v] = int64(count)
		b = b[m:]
	}
	return nil
}
