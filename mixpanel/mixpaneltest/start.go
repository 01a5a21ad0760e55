package mixpaneltest

import (
	"slices"
	"strings"
)

// TB is what Start needs of a *testing.T or *testing.B. It keeps the package
// testing out of programs that play Mixpanel.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start serves on a loopback port until the test ends, and fails the test at its
// end if a rule was broken that was not announced with [Server.Expect] or
// [Server.Allow].
func Start(tb TB, options Options) *Server {
	tb.Helper()
	if err := options.Validate(); err != nil {
		tb.Fatalf("mixpaneltest: %v", err)
	}
	s := NewServer(options)
	if _, err := s.Start("127.0.0.1:0"); err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		if err := s.Close(); err != nil {
			tb.Errorf("mixpaneltest: close: %v", err)
		}
		for _, complaint := range s.complaints() {
			tb.Errorf("mixpaneltest: %s", complaint)
		}
	})
	return s
}

// Expect announces that the test breaks these rules. It fails if it does not.
func (s *Server) Expect(rules ...Rule) {
	for _, r := range rules {
		s.expected.Store(r, true)
	}
}

// Allow announces that the test may break these rules.
func (s *Server) Allow(rules ...Rule) {
	for _, r := range rules {
		s.expected.LoadOrStore(r, false)
	}
}

// complaints are the reasons for which a test fails at its end.
func (s *Server) complaints() []string {
	var complaints []string
	const shown = 20
	unexpected := slices.DeleteFunc(s.Violations(), func(v Violation) bool {
		_, ok := s.expected.Load(v.Rule)
		return ok
	})
	for i, v := range unexpected {
		if i == shown {
			complaints = append(complaints, "and more violations of this kind; see Violations()")
			break
		}
		complaints = append(complaints, v.String())
	}
	var unbroken []string
	s.expected.Range(func(rule, must any) bool {
		if _, ok := s.broken.Load(rule); !ok && must.(bool) {
			unbroken = append(unbroken, string(rule.(Rule)))
		}
		return true
	})
	if len(unbroken) > 0 {
		slices.Sort(unbroken)
		complaints = append(complaints, "expected violations that did not happen: "+strings.Join(unbroken, ", "))
	}
	return complaints
}
