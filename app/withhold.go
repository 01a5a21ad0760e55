package app

import (
	"context"
	"time"

	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/store"
)

// withholding is a destination that hears nothing of suppressed people, also not what was
// queued before they were suppressed. That is set aside as dead letters with a code of
// their own, which Unsuppress queues again.
type withholding struct {
	deliver.Destination
	app *App
}

// codeListUnreadable is the code of calls that wait because the suppression list cannot be
// read.
const codeListUnreadable = "suppression_list_unreadable"

// Send implements deliver.Destination.
func (d withholding) Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome {
	suppressed, err := d.app.suppressed(ctx, calls, d.app.now())
	if err != nil {
		d.app.log.Warn("nothing is told while the suppression list cannot be read", "error", err)
		outcomes := make([]engine.Outcome, len(calls))
		for i := range outcomes {
			outcomes[i] = engine.Outcome{Verdict: engine.Retry, Code: codeListUnreadable, Reason: "the suppression list cannot be read"}
		}
		return outcomes
	}
	var told []*event.Call
	for i, c := range calls {
		if suppressed == nil || !suppressed[i] {
			told = append(told, c)
		}
	}
	if len(told) == len(calls) {
		return d.Destination.Send(ctx, calls, now)
	}
	var answers []engine.Outcome
	if len(told) > 0 {
		answers = d.Destination.Send(ctx, told, now)
	}
	outcomes := make([]engine.Outcome, len(calls))
	for i := range calls {
		if suppressed[i] {
			outcomes[i] = engine.Outcome{Verdict: engine.Rejected, Code: string(event.CodeSuppressed), Reason: reasons[event.CodeSuppressed]}
			continue
		}
		outcomes[i], answers = answers[0], answers[1:]
	}
	return outcomes
}

// suppressed tells which calls are of suppressed people: those that carry a suppressed
// id anywhere that an id is looked for, as the previousId of an alias too. The groupId is
// no id of a person. While nobody is suppressed it is nil, and costs nothing.
func (a *App) suppressed(ctx context.Context, calls []*event.Call, now time.Time) ([]bool, error) {
	if some, err := a.Store.AnySuppressed(ctx, now); err != nil || !some {
		return nil, err
	}
	ids := make([][]identity.ID, len(calls))
	for i, c := range calls {
		ids[i] = a.rules.Extract(c).Lookup(nil)
	}
	return a.Store.Suppressed(ctx, ids, now)
}

// retryWithheld queues again what was withheld of people who are suppressed no more: when they
// are taken off the list, and with each sweep, because delivery may have looked at the list
// just before that, and have set a call aside just after it.
func retryWithheld(ctx context.Context, s *store.Store, rules *identity.Rules, now time.Time) error {
	return s.Withheld(ctx, func(page []store.Withheld) error {
		ids := make([][]identity.ID, len(page))
		for i, w := range page {
			ids[i] = rules.Extract(w.Call).Lookup(nil)
		}
		suppressed, err := s.Suppressed(ctx, ids, now)
		if err != nil {
			return err
		}
		var letters []int64
		for i, w := range page {
			if !suppressed[i] {
				letters = append(letters, w.Letter)
			}
		}
		if len(letters) == 0 {
			return nil
		}
		_, err = s.RetryDeadLetters(ctx, store.LetterFilter{IDs: letters}, now)
		return err
	})
}
