package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// finishTimeout is how long a runner tries to note the end of an attempt, also when it
// is being stopped.
const finishTimeout = 10 * time.Second

// attempt works on a claimed slot and notes how that ended. It returns the work's error,
// or else that of noting it.
func (r *Runner) attempt(ctx context.Context, slot Slot, claim Claim) error {
	log := r.Log.With("job", slot.Key, "slot", slot.At, "attempt", claim.Attempt())
	began := r.Now()
	err := r.hold(ctx, claim, func(ctx context.Context) error { return r.work(ctx, slot, claim.Attempt()) })

	outcome := Outcome{Ending: Done, At: r.Now()}
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, ErrClaimLost):
		outcome.Ending = Released
	default:
		outcome.Ending, outcome.Reason = Failed, err.Error()
		outcome.RetryAt = outcome.At.Add(Backoff(claim.Attempt()))
	}

	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	finishErr := claim.Finish(finish, outcome)

	switch {
	case finishErr != nil:
		log.ErrorContext(finish, "cannot note the end of a slot", "ending", outcome.Ending, "reason", outcome.Reason, "error", finishErr)
	case outcome.Ending == Failed:
		log.ErrorContext(finish, "slot failed", "reason", outcome.Reason, "retry_at", outcome.RetryAt)
	default:
		log.InfoContext(finish, "slot ended", "ending", outcome.Ending, "missed", slot.Missed, "took", outcome.At.Sub(began))
	}
	if err != nil {
		return err
	}
	return finishErr
}

// work calls Work; its panic is an error, so that one job's fault is not that of all.
func (r *Runner) work(ctx context.Context, slot Slot, attempt int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.ErrorContext(ctx, "panic in a slot", "job", slot.Key, "slot", slot.At, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.Work(ctx, slot, attempt)
}

// hold does something with a context that ends when the claim is lost, and renews the
// claim meanwhile. If it was lost and the work failed, the error is an ErrClaimLost.
func (r *Runner) hold(ctx context.Context, claim Claim, work func(context.Context) error) error {
	held, lose := context.WithCancelCause(ctx)
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		r.renew(held, claim, lose)
	}()
	err := work(held)
	cause := context.Cause(held)
	lose(nil)
	<-renewing
	if err != nil && errors.Is(cause, ErrClaimLost) {
		return fmt.Errorf("%w (%w)", ErrClaimLost, err)
	}
	return err
}

// renew keeps a claim until the context ends, or ends it with the reason why the claim
// is lost. A claim that could not be renewed for its whole lease is lost too.
func (r *Runner) renew(ctx context.Context, claim Claim, lose context.CancelCauseFunc) {
	const perLease = 3
	ticker := time.NewTicker(r.Lease / perLease)
	defer ticker.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		try, cancel := context.WithTimeout(ctx, r.Lease/perLease)
		err := claim.Renew(try, r.Now())
		cancel()
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrClaimLost):
			lose(err)
			return
		default:
			if failures++; failures == perLease {
				lose(fmt.Errorf("%w: it could not be renewed: %w", ErrClaimLost, err))
				return
			}
			r.log(ctx).ErrorContext(ctx, "cannot renew the claim of a slot", "error", err)
		}
	}
}
