package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/pgtest"
	"muster/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// office is a store with its write keys and a clock that the test moves.
type office struct {
	*store.Store
	t    *testing.T
	keys *store.WriteKeys
	now  time.Time
}

func newOffice(t *testing.T) *office {
	o := &office{Store: store.New(pgtest.New(t)), t: t, now: noon}
	o.keys = o.WriteKeys(func() time.Time { return o.now })
	return o
}

// holder is the name of the source with the key, "" if there is none.
func (o *office) holder(key string) string {
	o.t.Helper()
	src, ok, err := o.keys.ByWriteKey(o.t.Context(), key)
	if err != nil {
		o.t.Fatal(err)
	}
	if ok != (src.Name != "") {
		o.t.Errorf("found: %v, source: %+v", ok, src)
	}
	return src.Name
}

// later moves the clock by more than keys are remembered.
func (o *office) later() { o.now = o.now.Add(1100 * time.Millisecond) }

func (o *office) create(name string, rate *float64) string {
	o.t.Helper()
	key, err := o.CreateSource(o.t.Context(), name, rate, o.now)
	if err != nil {
		o.t.Fatal(err)
	}
	return key.Reveal()
}

func (o *office) rotate(name string, grace time.Duration) string {
	o.t.Helper()
	key, err := o.RotateWriteKey(o.t.Context(), name, grace, o.now)
	if err != nil {
		o.t.Fatal(err)
	}
	return key.Reveal()
}

func (o *office) configure(keys map[string]string) []string {
	o.t.Helper()
	var sources []store.ConfiguredSource
	for name, key := range keys {
		sources = append(sources, store.ConfiguredSource{Name: name, Key: store.WriteKey(key)})
	}
	return o.configureAll(sources...)
}

func (o *office) configureAll(sources ...store.ConfiguredSource) []string {
	o.t.Helper()
	left, err := o.Configure(o.t.Context(), store.Configuration{Sources: append([]store.ConfiguredSource{}, sources...)}, o.now)
	if err != nil {
		o.t.Fatal(err)
	}
	o.later()
	return left
}

// expect compares the holders of keys.
func (o *office) expect(want map[string]string) {
	o.t.Helper()
	for key, name := range want {
		if got := o.holder(key); got != name {
			o.t.Errorf("key %s is that of %q, want %q", key, got, name)
		}
	}
}

func TestSourceByCommand(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	if o.holder("guess") != "" {
		t.Error("a key is known before there is a source")
	}
	rate := 2.5
	key := o.create("web", &rate)
	if len(key) < 24 {
		t.Errorf("the key %q is short", key)
	}
	o.now = o.now.Add(250 * time.Millisecond) // a new key is soon known
	src, ok, err := o.keys.ByWriteKey(ctx, key)
	if err != nil || !ok || src.Name != "web" || src.Rate != 2.5 || src.ID == 0 {
		t.Errorf("%+v, %v, %v", src, ok, err)
	}
	o.expect(map[string]string{key + "x": "", key[1:]: "", "": ""})

	if err := o.EnableSource(ctx, "web", false); err != nil {
		t.Fatal(err)
	}
	o.later()
	o.expect(map[string]string{key: ""})
	if err := o.EnableSource(ctx, "web", true); err != nil {
		t.Fatal(err)
	}
	o.later()
	o.expect(map[string]string{key: "web"})
	if err := o.LimitSource(ctx, "web", nil); err != nil {
		t.Fatal(err)
	}
	o.later()
	if src, _, _ := o.keys.ByWriteKey(ctx, key); src.Rate != 0 {
		t.Errorf("the rate is %v after it was put back to the default", src.Rate)
	}
	var stored string
	if err := o.Pool().QueryRow(ctx, `SELECT string_agg(s::text, ' ') FROM sources s`).Scan(&stored); err != nil || strings.Contains(stored, key) || stored == "" {
		t.Errorf("stored of the source: %s %v", stored, err)
	}
}

func TestRotation(t *testing.T) {
	o := newOffice(t)
	first := o.create("web", nil)
	second := o.rotate("web", time.Hour)
	o.now = o.now.Add(10 * time.Minute)
	third := o.rotate("web", 2*time.Hour)
	o.later()
	o.expect(map[string]string{first: "web", second: "web", third: "web"})
	list, err := o.Sources(t.Context(), o.now)
	if err != nil || len(list) != 1 || list[0].OldKeysUntil == nil || !list[0].OldKeysUntil.Equal(noon.Add(2*time.Hour+10*time.Minute)) {
		t.Errorf("%+v %v", list, err)
	}
	// A later rotation with a longer grace does not make the first key live longer. Its end
	// is exact, although keys are remembered.
	o.now = noon.Add(time.Hour - time.Millisecond)
	o.expect(map[string]string{first: "web"})
	o.now = noon.Add(time.Hour)
	o.expect(map[string]string{first: "", second: "web", third: "web"})
	fourth := o.rotate("web", 0)
	o.later()
	o.expect(map[string]string{first: "", second: "", third: "", fourth: "web"})
	if list, err := o.Sources(t.Context(), o.now); err != nil || list[0].OldKeysUntil != nil {
		t.Errorf("%+v %v", list, err)
	}
	var left int
	if err := o.Pool().QueryRow(t.Context(), `SELECT count(*) FROM rotated_write_keys`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rotated keys are left, %v", left, err)
	}
}

func TestSourcesOfTheConfiguration(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	if left := o.configure(map[string]string{"a": "key-a", "b": "key-b"}); len(left) != 0 {
		t.Errorf("%v left an empty configuration", left)
	}
	o.expect(map[string]string{"key-a": "a", "key-b": "b"})
	o.configure(map[string]string{"a": "key-b", "b": "key-a"}) // two swap their keys
	o.expect(map[string]string{"key-a": "b", "key-b": "a"})
	if _, err := o.RotateWriteKey(ctx, "a", 0, o.now); !errors.Is(err, store.ErrConfigSource) {
		t.Errorf("rotating a configured key: %v", err)
	}
	if err := o.EnableSource(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	// A start keeps disabled what is disabled, and leaves the sources of commands alone.
	own := o.create("own", nil)
	if left := o.configure(map[string]string{"a": "key-a2"}); !slices.Equal(left, []string{"b"}) {
		t.Errorf("left: %v, want b", left)
	}
	o.expect(map[string]string{"key-a2": "", "key-a": "", own: "own"})
	if err := o.EnableSource(ctx, "a", true); err != nil {
		t.Fatal(err)
	}
	// A source of a command moves into the configuration, and one that left it can be had back.
	o.configure(map[string]string{"a": "key-a2", "own": "key-own"})
	o.expect(map[string]string{"key-a2": "a", own: "", "key-own": "own"})
	b := o.rotate("b", 0)
	if left := o.configure(nil); !slices.Equal(slices.Sorted(slices.Values(left)), []string{"a", "own"}) {
		t.Errorf("left: %v, want a and own", left)
	}
	o.expect(map[string]string{"key-a2": "", "key-own": "", b: "b"})
	if _, err := o.Configure(ctx, store.Configuration{Sources: []store.ConfiguredSource{{Name: "a", Key: store.WriteKey(b)}}}, o.now); err == nil || !strings.Contains(err.Error(), "same write key") || strings.Contains(err.Error(), b) {
		t.Errorf("the key of another source: %v", err)
	}
}

// A rate that a command has set goes before that of the configuration, and lasts.
func TestRatesOfSources(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	expect := func(rate float64, from store.Origin) {
		t.Helper()
		src, ok, err := o.keys.ByWriteKey(ctx, "key-a")
		if err != nil || !ok || src.Rate != rate {
			t.Errorf("taken are %v requests a second, want %v (%v)", src.Rate, rate, err)
		}
		list, err := o.Sources(ctx, o.now)
		if err != nil || len(list) != 1 || list[0].RateFrom != from || (list[0].Rate == nil) != (rate == 0) || rate != 0 && *list[0].Rate != rate {
			t.Errorf("listed is %+v, want %v from %q (%v)", list, rate, from, err)
		}
	}
	a := store.ConfiguredSource{Name: "a", Key: "key-a"}
	limit := func(rate *float64) {
		t.Helper()
		if err := o.LimitSource(ctx, "a", rate); err != nil {
			t.Fatal(err)
		}
		o.later()
	}
	o.configureAll(a)
	expect(0, "")
	a.Rate = 20
	o.configureAll(a)
	expect(20, store.FromConfig)
	limit(new(5.5))
	expect(5.5, store.FromCommand)
	a.Rate = 30
	o.configureAll(a)
	expect(5.5, store.FromCommand)
	limit(nil)
	expect(30, store.FromConfig)
	a.Rate = 0
	o.configureAll(a)
	expect(0, "")
	a.Rate = 1e7
	if _, err := o.Configure(ctx, store.Configuration{Sources: []store.ConfiguredSource{a}}, o.now); !errors.Is(err, store.ErrSourceSetting) {
		t.Errorf("a huge rate: %v", err)
	}
}

func TestSourcesOfImportsGetAKeyByRotation(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	src, err := o.EnsureSource(ctx, "history", o.now)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.EnsureSource(ctx, "history", o.now); err != nil || again.ID != src.ID {
		t.Errorf("%+v %v", again, err)
	}
	list, err := o.Sources(ctx, o.now)
	if err != nil || len(list) != 1 || list[0].HasKey || list[0].Origin != store.FromImport {
		t.Errorf("%+v %v", list, err)
	}
	o.expect(map[string]string{o.rotate("history", 0): "history"})
}

func TestFaultsOfSources(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	o.create("web", nil)
	tiny, huge := 0.0001, 1e7
	for name, tt := range map[string]struct {
		err  error
		is   error
		says string
	}{
		"twice":         {second(o.CreateSource(ctx, "web", nil, o.now)), store.ErrSourceExists, "rotate"},
		"bad name":      {second(o.CreateSource(ctx, "a name", nil, o.now)), store.ErrSourceSetting, "letters"},
		"tiny rate":     {second(o.CreateSource(ctx, "x", &tiny, o.now)), store.ErrSourceSetting, "0.001"},
		"huge rate":     {o.LimitSource(ctx, "web", &huge), store.ErrSourceSetting, "1000000"},
		"limit nobody":  {o.LimitSource(ctx, "nobody", nil), store.ErrUnknownSource, "nobody"},
		"enable nobody": {o.EnableSource(ctx, "nobody", true), store.ErrUnknownSource, "nobody"},
		"rotate nobody": {second(o.RotateWriteKey(ctx, "nobody", 0, o.now)), store.ErrUnknownSource, "nobody"},
	} {
		if !errors.Is(tt.err, tt.is) || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: %v", name, tt.err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// While the database is away no key may be called unknown: clients would throw their calls away.
func TestKeysWithoutDatabase(t *testing.T) {
	o := newOffice(t)
	key := o.create("web", nil)
	o.expect(map[string]string{key: "web"})
	o.Pool().Close()
	for range 3 {
		o.later()
		for _, k := range []string{key, "new"} {
			if _, ok, err := o.keys.ByWriteKey(t.Context(), k); err == nil || ok {
				t.Errorf("key %s is answered %v without a database", k, ok)
			}
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	fresh := newOffice(t)
	key = fresh.create("web", nil)
	if src, ok, err := fresh.keys.ByWriteKey(gone, key); err != nil || !ok || src.Name != "web" {
		t.Errorf("a client that breaks off fails the look-up for all: %v %v", ok, err)
	}
}

func TestWriteKeysAreNotShown(t *testing.T) {
	key := store.WriteKey("hidden-key")
	if shown := fmt.Sprintf("%v %s %+v %#v %q %v", key, key, key, key, key, key.LogValue()); strings.Contains(shown, "hidden") {
		t.Error(shown)
	}
	if key.Reveal() != "hidden-key" {
		t.Error("it cannot be revealed")
	}
}
