package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/app"
	"muster/config"
	"muster/engine"
	"muster/internal/pgserver"
	"muster/query"
	"muster/store"
	"muster/web"
)

// The limits from which on something is worth a word.
const (
	skewWarning   = 2 * time.Second
	skewProblem   = time.Minute
	lateAfter     = 5 * time.Minute
	lagAfter      = 15 * time.Minute
	longestAfter  = time.Hour
	frozenWarning = 1_000_000_000 // of some two thousand million, where PostgreSQL takes no more writes
	frozenProblem = 1_800_000_000
	poolOfServe   = 16
	diskProblem   = 1 << 30
	diskWarning   = 10 << 30
)

// configuration looks at the file beyond what makes it readable.
func (x *examination) configuration(c *config.Config) {
	const subject = "configuration"
	for _, def := range c.Definitions() {
		_, found := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind, Key: def.Key})
		if found.Err() != nil {
			x.find(problem, subject, "correct it; muster query check helps", "%s is refused, and what was defined before goes on: %v", def.Key, found.Err())
		}
	}
	if len(c.Destinations) == 0 {
		x.find(remark, subject, "", "no destination is configured: nobody is told of changes")
	}
	if strings.HasPrefix(c.Listen, ":") || strings.HasPrefix(c.Listen, "0.0.0.0:") || strings.HasPrefix(c.Listen, "[::]:") {
		x.find(remark, subject, "let a proxy with TLS lead the internet to /v1/ only; see docs/security.md", "listen is %s: /metrics can be read by everybody who reaches this machine", c.Listen)
	}
	x.well(subject, "%s, %s, %d audiences and traits", plural(len(c.Sources), "source"), plural(len(c.Destinations), "destination"), len(c.Definitions()))
}

// definitions compares the audiences and traits of the file with those of the database.
func (x *examination) definitions(ctx context.Context, s *store.Store) {
	const subject = "definitions"
	if x.config == nil {
		return
	}
	plan, err := app.Plan(ctx, s, engine.Desired{Definitions: x.config.Definitions()}, nil, 0, x.now)
	if err != nil {
		x.find(problem, subject, "", "%v", err)
		return
	}
	waiting := make(map[engine.Action][]string)
	for _, step := range plan.Steps {
		switch refused := step.Refused; {
		case refused == nil:
			waiting[step.Action] = append(waiting[step.Action], step.Key)
		case len(refused.Diagnostics) == 0: // a query that is refused is seen in the file alone
			x.find(problem, subject, "correct it; muster plan shows the place", "%s is refused, and what was defined before goes on: %v", step.Key, refused)
		}
	}
	const apply = "start muster serve anew, or run muster apply; muster plan shows what that does"
	if keys := waiting[engine.ActionCreate]; len(keys) > 0 {
		x.find(remark, subject, apply, "in the file, and not computed yet: %s", strings.Join(keys, ", "))
	}
	if keys := waiting[engine.ActionEdit]; len(keys) > 0 {
		x.find(remark, subject, apply, "in the file they are not as they are computed: %s", strings.Join(keys, ", "))
	}
}

// clock compares this machine's with the database's, which was read between two readings.
func (x *examination) clock(h store.Health, before, after time.Time) {
	middle := before.Add(after.Sub(before) / 2)
	skew, uncertain := h.Clock.Sub(middle), after.Sub(before)/2
	const remedy = "let both machines keep time by NTP: times of calls, windows and slots follow this machine's clock"
	switch off := max(skew, -skew) - uncertain; {
	case off >= skewProblem:
		x.find(problem, "clock", remedy, "it differs from the database's by %s", skew.Round(time.Second))
	case off >= skewWarning:
		x.find(warning, "clock", remedy, "it differs from the database's by %s", skew.Round(100*time.Millisecond))
	}
	x.well("clock", "within %s of the database's", (max(skew, -skew) + uncertain).Round(time.Millisecond))
}

// database looks at settings, privileges and the state of the server.
func (x *examination) database(h store.Health) {
	const subject = "database"
	if h.ReadOnly {
		x.find(problem, subject, "name the primary in the address, or make it writable", "it takes no writes: it is a standby, or read-only")
	}
	if h.Encoding != "UTF8" {
		x.find(problem, subject, "make a new database with ENCODING 'UTF8', and move the data", "its encoding is %s; calls hold any character", h.Encoding)
	}
	for _, must := range []struct{ name, consequence string }{
		{"fsync", "a crash of the machine can destroy the database"},
		{"full_page_writes", "a crash of the machine can destroy the database"},
		{"autovacuum", "tables grow without end"},
	} {
		if h.Settings[must.name] == "off" {
			x.find(problem, "setting "+must.name, "set it to on", "it is off: %s", must.consequence)
		}
	}
	if v := h.Settings["synchronous_commit"]; v == "off" {
		x.find(warning, "setting synchronous_commit", "set it to on, unless losing the last moments is worth the speed", "it is off: calls that were answered 200 can be lost when the database's machine crashes")
	}
	for _, name := range []string{"statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"} {
		if v := h.Settings[name]; v != "" && v != "0" {
			x.find(warning, "setting "+name, fmt.Sprintf("set it to 0 for %s: ALTER ROLE ... SET %s = 0", h.User, name), "it is %s: slots and backfills that take longer fail, and are tried again and again", v)
		}
	}
	if v := h.Settings["default_transaction_isolation"]; v != "read committed" {
		x.find(warning, "setting default_transaction_isolation", "set it to read committed, at least for "+h.User, "it is %s: transactions fail on conflicts that are none", v)
	}
	if v := h.Settings["shared_buffers"]; v == "128MB" {
		x.find(remark, "setting shared_buffers", "a quarter of the machine's memory is usual", "it is 128MB, PostgreSQL's default, which is little")
	}
	if free := h.MaxConnections - h.Connections; free < poolOfServe {
		x.find(warning, "connections", "raise max_connections, or lower pool_max_conns in the address", "%d of %d are in use; a muster serve takes up to %d", h.Connections, h.MaxConnections, poolOfServe)
	}
	x.well("connections", "%d of %d are in use", h.Connections, h.MaxConnections)
	if !h.MayCreate {
		x.find(problem, "privileges", fmt.Sprintf("run, as the schema's owner: GRANT ALL ON SCHEMA muster TO %s", h.User), "%s may not make tables in the schema muster; partitions are made as they are needed", h.User)
	}
	if !h.Reader {
		x.find(remark, "privileges", "muster migrate up makes it, or says what to run", "the role muster_reader, for people who only look, is not complete")
	}
	x.well("privileges", "%s may do what it has to", h.User)
	if len(h.Extensions) > 0 {
		x.find(remark, "extensions", "", "%s; Muster needs none", strings.Join(h.Extensions, ", "))
	}
	if began := h.OldestTransaction; !began.IsZero() && h.Clock.Sub(began) > longestAfter {
		x.find(warning, "transactions", "look at pg_stat_activity, and end it with pg_terminate_backend(pid) if nobody needs it", "one of %q is open for %s: no dead row can be removed meanwhile", h.OldestApplication, h.Clock.Sub(began).Round(time.Minute))
	}
	const freeze = "run VACUUM (FREEZE) as the owner; see what keeps autovacuum from it: long transactions, prepared ones, replication slots"
	switch {
	case h.FrozenAge > frozenProblem:
		x.find(problem, "transaction ids", freeze, "%d million are used up; near 2,100 million PostgreSQL takes no more writes", h.FrozenAge/1_000_000)
	case h.FrozenAge > frozenWarning:
		x.find(warning, "transaction ids", freeze, "%d million are used up; near 2,100 million PostgreSQL takes no more writes", h.FrozenAge/1_000_000)
	}
	for _, t := range h.Bloated {
		when := "never"
		if t.VacuumedAt != nil {
			when = instantText(*t.VacuumedAt)
		}
		x.find(warning, "dead rows", "run: VACUUM muster."+t.Name+"; and look for transactions that stay open", "%s has %d dead rows beside %d live ones; vacuumed last: %s", t.Name, t.Dead, t.Live, when)
	}
	x.well(subject, "settings are sound")
}

// room looks at sizes, and at what is kept.
func (x *examination) room(ctx context.Context, s *store.Store, h store.Health, snap web.Snapshot, server *pgserver.Server) {
	if server.Private() {
		free, err := freeDisk(server.Dir())
		switch {
		case err != nil:
			x.find(remark, "disk", "", "how much room %s has is %v", server.Dir(), err)
		case free < diskProblem:
			x.find(problem, "disk", "make room, or let retention drop old events", "%s is left for %s; PostgreSQL stops when it is full", byteText(free), server.Dir())
		case free < diskWarning:
			x.find(warning, "disk", "make room, or let retention drop old events", "%s is left for %s", byteText(free), server.Dir())
		}
		if err == nil {
			x.well("disk", "%s is left for %s", byteText(free), server.Dir())
		}
	}
	slices.SortFunc(snap.Storage, func(a, b web.TableState) int { return cmp.Compare(b.Bytes, a.Bytes) })
	var largest []string
	for _, t := range snap.Storage[:min(3, len(snap.Storage))] {
		largest = append(largest, t.Name+" "+byteText(t.Bytes))
	}
	kept := "all events are kept"
	if !h.KeptSince.IsZero() {
		kept = "events are kept from " + h.KeptSince.UTC().Format(time.DateOnly) + " on"
	}
	x.find(healthy, "storage", "", "%s in all; largest are %s; %s", byteText(h.Bytes), strings.Join(largest, ", "), kept)
	if x.config == nil || x.config.Retention.Events == "" {
		return
	}
	reach, err := app.Reach(ctx, s, x.now)
	if err != nil {
		x.find(problem, "retention", "", "%v", err)
		return
	}
	if len(reach.Whole) > 0 {
		x.find(warning, "retention", "give them a window, or leave retention.events out", "no events are dropped, because of definitions that look at the whole log: %s", strings.Join(reach.Whole, ", "))
	}
}

// work looks for what is late, fails, or was left by a process that died.
func (x *examination) work(ctx context.Context, s *store.Store, h store.Health, snap web.Snapshot) {
	const subject = "computations"
	failing, err := s.FailingSlots(ctx)
	if err != nil {
		x.find(problem, subject, "", "%v", err)
		return
	}
	for _, f := range failing {
		x.find(problem, subject, "remove the cause; it is tried again by itself", "the slot %s of %q has failed %d times: %s", instantText(f.Slot), f.Schedule, f.Attempt, f.Error)
	}
	for _, c := range snap.Computations {
		if late := x.now.Sub(c.Due); !c.AsOf.IsZero() && late > lateAfter && c.Failing == 0 {
			x.find(problem, subject, "is muster serve running? its log says what it does", "%s is %s late: its values are as of %s", c.Key, late.Round(time.Minute), instantText(c.AsOf))
		}
	}
	for _, b := range h.Behind {
		text := b.Key + " is " + b.Status
		if b.Reason != "" {
			text += ": " + b.Reason
		}
		switch b.Status {
		case "failed":
			x.find(problem, subject, "remove the cause, and define it anew", "%s", text)
		case "disabled":
			x.find(remark, subject, "", "%s", text)
		default:
			x.find(remark, subject, "muster serve computes it; muster run list shows how far it is", "%s", text)
		}
	}
	if b := h.Backfill; b != nil {
		last := b.StartedAt
		if b.ProgressedAt != nil {
			last = *b.ProgressedAt
		}
		if stuck := x.now.Sub(last); stuck > lateAfter {
			x.find(warning, "backfill", "is muster serve running? its log says why a backfill fails", "it stands at %d of %d profiles, since %s", b.Done, b.Total, stuck.Round(time.Minute))
		} else {
			x.find(remark, "backfill", "", "it is at %d of %d profiles", b.Done, b.Total)
		}
	}
	for _, slot := range h.Slots {
		x.find(warning, "leases", "a muster serve that runs takes it over within seconds; start one", "the slot %s of %q was begun by a process that died", instantText(slot.Slot), slot.Schedule)
	}
	x.well(subject, "%d, none of them late", len(snap.Computations))
}

// delivery looks at the destinations and what waits for them.
func (x *examination) delivery(ctx context.Context, s *store.Store, h store.Health, snap web.Snapshot) {
	lags, err := s.Lags(ctx)
	if err != nil {
		x.find(problem, "delivery", "", "%v", err)
		return
	}
	delivering := false // some destination could be told
	for _, l := range lags {
		subject := "destination " + l.Destination
		switch {
		case l.HaltedReason != "":
			x.find(problem, subject, "correct its settings and start muster serve anew; if they are right, run: muster delivery resume "+l.Destination, "delivery has stopped by itself: %s", l.HaltedReason)
		case l.Paused:
			x.find(warning, subject, "go on with: muster delivery resume "+l.Destination, "delivery is paused; %s", waits(l.Waiting))
		case l.Failing > 0:
			x.find(warning, subject, "they are tried again by themselves; muster delivery lag says more", "%d of its lanes fail: %s", l.Failing, l.LastReason)
		case l.Oldest != nil && x.now.Sub(*l.Oldest) > lagAfter:
			x.find(warning, subject, "is muster serve running, and does it have the processor and the network that it needs?", "%d messages wait, the oldest for %s", l.Waiting, x.now.Sub(*l.Oldest).Round(time.Minute))
		}
		for _, d := range snap.Destinations {
			if d.Name != l.Destination {
				continue
			}
			for _, kind := range []string{store.KindRejected, store.KindGaveUp, store.KindUncertain} {
				if n := d.DeadLetters[kind]; n > 0 {
					x.find(warning, subject, fmt.Sprintf("look and decide: muster delivery dead-letters --destination %s --kind %s", l.Destination, kind), "%s with the kind %s", plural(n, "dead letter"), kind)
				}
			}
			if n := d.DeadLetters[store.KindUndeliverable]; n > 0 {
				x.find(remark, subject, "", "%d messages had nobody to go to: the people have no id that it takes", n)
			}
			if n := d.DeadLetters[web.DeadSuppressed]; n > 0 {
				x.find(remark, subject, "", "%s of people who are suppressed: nothing is to be done, they stay set aside while these are", plural(n, "message"))
			}
		}
		if x.config != nil && !slices.ContainsFunc(x.config.Destinations, func(d config.Destination) bool { return d.Name == l.Destination }) {
			x.find(remark, subject, "", "it is not in this configuration, so that a muster serve of it tells it nothing")
		}
		x.well(subject, "%s delivered, %s", plural(l.Delivered, "message"), waits(l.Waiting))
		if !l.Paused && l.HaltedReason == "" {
			delivering = true
		}
	}
	if n := len(h.Lanes); n > 0 {
		x.find(warning, "leases", "a muster serve that runs takes them over within seconds; start one", "%d lanes of %s were left by a process that died, the first at %s", n, h.Lanes[0].Destination, instantText(h.Lanes[0].LeaseUntil))
	}
	if delivering && !h.Serving {
		x.find(remark, "processes", "start muster serve", "no muster serve delivers at this moment")
	}
}

func waits(n int64) string {
	if n == 0 {
		return "none waits"
	}
	return fmt.Sprintf("%d wait", n)
}

// byteText is a size for people.
func byteText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d kB", n>>10)
}
