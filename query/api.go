package query

import (
	"time"

	"github.com/shopspring/decimal"
)

type Kind uint8

const (
	KindNull Kind = iota
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

type Value struct{ kind Kind }

func Null() Value                                { return Value{} }
func Bool(b bool) Value                          { return Value{} }
func Number(d decimal.Decimal) Value             { return Value{} }
func Int(n int64) Value                          { return Value{} }
func Text(s string) Value                        { return Value{} }
func List(vs []Value) Value                      { return Value{} }
func ParseValue(raw []byte) (Value, error)       { return Value{}, nil }
func (v Value) Kind() Kind                       { return v.kind }
func (v Value) IsNull() bool                     { return v.kind == KindNull }
func (v Value) AsBool() bool                     { return false }
func (v Value) AsText() string                   { return "" }
func (v Value) Decimal() (decimal.Decimal, bool) { return decimal.Decimal{}, false }
func (v Value) AppendJSON(dst []byte) []byte     { return dst }
func (v Value) Equal(w Value) bool               { return false }
func (v Value) Elements() []Value                { return nil }

// Average is the value of an avg leaf: sum divided by n, rounded to 15 significant digits; null if n is 0.
func Average(sum decimal.Decimal, n int64) Value { return Value{} }

type Purpose string

const (
	Audience Purpose = "audience"
	Trait    Purpose = "trait"
)

type Level string

const (
	Users    Level = "users"
	Accounts Level = "accounts"
)

type CheckOptions struct {
	Purpose    Purpose
	Level      Level
	KnownEvent func(name string) bool
	KnownTrait func(name string) bool
	Key        string
	Reads      func(key string) []string
}

func Compile(text string, opts CheckOptions) (*Definition, Diagnostics) { return nil, nil }

type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

type Diagnostic struct {
	Severity             Severity
	Code                 string
	Offset, Line, Column int
	Message, Hint        string
	SourceLine           string
}

type Diagnostics []Diagnostic

func (ds Diagnostics) Err() error     { return nil }
func (ds Diagnostics) Render() string { return "" }

type Class string

const (
	Realtime  Class = "realtime"
	Scheduled Class = "scheduled"
)

type Definition struct {
	Purpose      Purpose
	Level        Level
	Class        Class
	ClassBecause []string
	Events       []string
	Traits       []string
	MaxLookback  time.Duration
	Leaves       []*Leaf
	LeafCount    int
	Empty        Value // the value for a profile with no traits and no events
	TrueOnEmpty  bool
	ClockTraits  []string
}

func (d *Definition) Text() string                                   { return "" }
func (d *Definition) Eval(p Profile, asOf time.Time) Value           { return Value{} }
func (d *Definition) Explain(p Profile, asOf time.Time) *Explanation { return nil }
func (d *Definition) EvalWith(in Inputs, asOf time.Time) Value       { return Value{} }
func (d *Definition) NextTraitChange(in Inputs, asOf time.Time) (time.Time, bool) {
	return time.Time{}, false
}

type Inputs interface {
	Trait(key string) Value
	Leaf(l *Leaf) Value
}

type Explanation struct {
	Text       string
	Value      Value
	NextChange time.Time
	Children   []*Explanation
}

type Op string

const (
	OpCount  Op = "count"
	OpSum    Op = "sum"
	OpAvg    Op = "avg"
	OpMin    Op = "min"
	OpMax    Op = "max"
	OpFirst  Op = "first"
	OpLast   Op = "last"
	OpMode   Op = "mode"
	OpUnique Op = "unique"
)

type Cast string

const (
	AsNone   Cast = ""
	AsNumber Cast = "number"
	AsString Cast = "string"
	AsArray  Cast = "array"
)

type Reducer struct {
	Op      Op
	Field   string // canonical text of the field, "" for count
	As      Cast
	AtLeast int
}

type Window struct{ Near, Far time.Duration }

type EventWindow struct {
	Event     string
	Near, Far time.Duration
}

type Leaf struct {
	Text         string
	Event        string
	Events       []string
	Traits       []string
	Reducer      Reducer
	Window       *Window
	Windows      []EventWindow
	Foldable     bool
	ClockInWhere bool
}

func (l *Leaf) Match(e *Event) bool                  { return false }
func (l *Leaf) Values(e *Event) []Value              { return nil }
func (l *Leaf) Eval(p Profile, asOf time.Time) Value { return Value{} }
func (l *Leaf) NextChange(p Profile, asOf time.Time) (time.Time, bool) {
	return time.Time{}, false
}
