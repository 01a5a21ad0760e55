// Package scheduler runs things at the slots of their schedules: each slot once, in
// however many processes, and after a pause the newest slot alone.
//
// A [Schedule] is a cron text; its slots are instants in UTC, computed without regard
// to when anybody looks. A [Job] is a schedule with a name. A [Runner] finds the jobs
// that have a slot due, claims the slot in a [Slots] store, which is the judge between
// processes, and does the work.
//
// The package knows no database and no clock, and not what the work is.
package scheduler
