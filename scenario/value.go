package scenario

import (
	"slices"

	"github.com/shopspring/decimal"

	"muster/query"
)

const (
	// digits to which numbers are compared: those that averages are computed to, and
	// that survive the way through a program with binary floating point.
	digits = 15
	// cents are the decimal places to which sums are compared.
	cents = 2
)

// sameValue compares numbers by value, to 15 digits, and everything else exactly.
func sameValue(a, b query.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case query.KindNumber:
		x, _ := a.Decimal()
		y, _ := b.Decimal()
		return rounded(x).Equal(rounded(y))
	case query.KindArray:
		return slices.EqualFunc(a.Elements(), b.Elements(), sameValue)
	case query.KindObject:
		return slices.Equal(a.Keys(), b.Keys()) && !slices.ContainsFunc(a.Keys(), func(key string) bool {
			return !sameValue(a.Member(key), b.Member(key))
		})
	case query.KindNull, query.KindBool, query.KindString:
	}
	return a.Equal(b)
}

// rounded is a number with as many significant digits as are compared.
func rounded(d decimal.Decimal) decimal.Decimal {
	return d.Round(int32(digits-d.NumDigits()) - d.Exponent())
}

// sumOf adds the values up, and counts those that are no numbers.
func sumOf(holders []Holder) (sum decimal.Decimal, others int) {
	for _, h := range holders {
		if d, ok := h.Value.Decimal(); ok {
			sum = sum.Add(d)
		} else {
			others++
		}
	}
	return sum, others
}
