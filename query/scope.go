package query

import "time"

// Inputs are the values that a definition is computed from, when they are known.
type Inputs interface {
	// Trait is the value of a top-level trait key, null if there is none.
	Trait(key string) Value
	// Leaf is the value of one of the definition's leaves.
	Leaf(l *Leaf) Value
}

// surroundings are what is the same for all parts of one evaluation.
type surroundings struct {
	asOf  time.Time
	in    Inputs
	past  *past     // the profile's events; nil if leaf values are given
	users []Profile // account level: the linked users
}

// scope is where an expression is evaluated: inside a where there is an event, and
// inside a nested event's where that event's parent too.
type scope struct {
	*surroundings
	event  *Event
	parent *scope
}

// condition is a boolean expression.
type condition interface {
	holds(s scope) bool
	appendText(dst []byte) []byte
}

// scalar is an expression with a value.
type scalar interface {
	// value is the value; of several the first.
	value(s scope) Value
	// many says whether there can be several values, as under "$".
	many() bool
	// values appends the values, nulls excepted.
	values(dst []Value, s scope) []Value
	appendText(dst []byte) []byte
}
