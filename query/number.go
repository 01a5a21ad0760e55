package query

import (
	"cmp"
	"strconv"

	"github.com/shopspring/decimal"
)

// Numbers are exact decimals. Nearly all that occur fit coef * 10^exp with a
// 64-bit coefficient; only the others carry a big.Int. Limits keep hostile
// numbers such as 1e999999999 from costing memory: what lies beyond them is text.
const (
	maxNumberText  = 1000 // characters of a number's text
	maxMagnitude   = 400  // largest power of ten, either way
	smallDigits    = 18   // digits that always fit an int64
	plainDigits    = 21   // beyond 10^21 numbers print with an exponent, as in JavaScript
	averageDigits  = 15   // significant digits of an average
	maxSmallFactor = 18   // largest power of ten that fits an int64
)

var powersOfTen = func() (p [maxSmallFactor + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// number is coef * 10^exp, or big when the coefficient does not fit.
type number struct {
	coef int64
	exp  int32
	big  *decimal.Decimal
}

// parseNumber reads -?digits[.digits][e[+-]digits], leading zeros allowed.
func parseNumber[T string | []byte](s T) (number, bool) {
	if len(s) == 0 || len(s) > maxNumberText {
		return number{}, false
	}
	i, negative := 0, s[0] == '-'
	if negative {
		i++
	}
	var coef int64
	var exp int32
	significant, digits, fits := 0, 0, true
	take := func() {
		digits++
		if significant > 0 || s[i] != '0' {
			significant++
		}
		if significant > smallDigits {
			fits = false
		} else {
			coef = coef*10 + int64(s[i]-'0')
		}
		i++
	}
	for i < len(s) && isDigit(s[i]) {
		take()
	}
	if digits == 0 {
		return number{}, false
	}
	if i < len(s) && s[i] == '.' {
		i++
		whole := digits
		for i < len(s) && isDigit(s[i]) {
			take()
			exp--
		}
		if digits == whole {
			return number{}, false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		power, next, ok := parseExponent(s, i+1)
		if !ok {
			return number{}, false
		}
		exp, i = exp+power, next
	}
	if i != len(s) {
		return number{}, false
	}
	if significant == 0 {
		return number{}, true
	}
	if top := int(exp) + significant; top > maxMagnitude || top < -maxMagnitude {
		return number{}, false
	}
	if !fits {
		d, err := decimal.NewFromString(string(s))
		return number{big: &d}, err == nil
	}
	if negative {
		coef = -coef
	}
	return number{coef: coef, exp: exp}, true
}

func parseExponent[T string | []byte](s T, i int) (power int32, next int, ok bool) {
	negative := false
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		negative = s[i] == '-'
		i++
	}
	start := i
	for ; i < len(s) && isDigit(s[i]); i++ {
		if power < 100000 {
			power = power*10 + int32(s[i]-'0')
		}
	}
	if negative {
		power = -power
	}
	return power, i, i > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func numberOf(d decimal.Decimal) number {
	if c := d.Coefficient(); c.IsInt64() {
		return number{coef: c.Int64(), exp: d.Exponent()}
	}
	return number{big: &d}
}

func (n number) decimal() decimal.Decimal {
	if n.big != nil {
		return *n.big
	}
	return decimal.New(n.coef, n.exp)
}

// compare returns -1, 0 or 1.
func (n number) compare(m number) int {
	if n.big == nil && m.big == nil {
		a, b := n.coef, m.coef
		if n.exp == m.exp || a == 0 || b == 0 {
			return cmp.Compare(a, b)
		}
		var ok bool
		if n.exp > m.exp {
			a, ok = scaled(a, n.exp-m.exp)
		} else {
			b, ok = scaled(b, m.exp-n.exp)
		}
		if ok {
			return cmp.Compare(a, b)
		}
	}
	return n.decimal().Cmp(m.decimal())
}

func scaled(n int64, power int32) (int64, bool) {
	if power > maxSmallFactor {
		return 0, false
	}
	f := powersOfTen[power]
	product := n * f
	return product, product/f == n
}

// append writes the shortest exact text: 100.5, 60, -0.001, and an exponent only
// outside 10^-6 .. 10^21.
func (n number) append(dst []byte) []byte {
	var buf [24]byte
	var digits []byte
	exp := int(n.exp)
	if n.big != nil {
		digits, exp = n.big.Coefficient().Append(buf[:0], 10), int(n.big.Exponent())
	} else {
		digits = strconv.AppendInt(buf[:0], n.coef, 10)
	}
	if digits[0] == '-' {
		dst = append(dst, '-')
		digits = digits[1:]
	}
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		exp++
	}
	if digits[0] == '0' {
		return append(dst, '0')
	}
	point := len(digits) + exp // digits before the decimal point
	switch {
	case point > plainDigits || point <= -6:
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(append(dst, '.'), digits[1:]...)
		}
		dst = append(dst, 'e')
		if point > 0 {
			dst = append(dst, '+')
		}
		return strconv.AppendInt(dst, int64(point-1), 10)
	case point <= 0:
		dst = append(dst, '0', '.')
		for ; point < 0; point++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	case point >= len(digits):
		dst = append(dst, digits...)
		for i := len(digits); i < point; i++ {
			dst = append(dst, '0')
		}
		return dst
	}
	dst = append(dst, digits[:point]...)
	dst = append(dst, '.')
	return append(dst, digits[point:]...)
}

// Average is the value of an avg: sum divided by n, rounded half away from zero
// to 15 significant digits. It is null if n is not positive.
func Average(sum decimal.Decimal, n int64) Value {
	if n <= 0 {
		return Null()
	}
	if sum.IsZero() {
		return Int(0)
	}
	count := decimal.NewFromInt(n)
	// Enough places for 15 digits of the quotient and a few more. The quotient is
	// truncated, so a digit that stands for the rest keeps the one rounding exact.
	places := int32(averageDigits+3) - int32(sum.NumDigits()) - sum.Exponent() + int32(count.NumDigits())
	quotient, rest := sum.QuoRem(count, places)
	if !rest.IsZero() {
		quotient = quotient.Add(decimal.New(int64(sum.Sign()), -places-1))
	}
	return Number(quotient.Round(averageDigits - int32(quotient.NumDigits()) - quotient.Exponent()))
}
