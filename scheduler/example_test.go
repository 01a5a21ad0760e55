package scheduler_test

import (
	"fmt"
	"time"

	"muster/scheduler"
)

func ExampleSchedule_Due() {
	s, err := scheduler.Parse("0 */6 * * mon-fri")
	if err != nil {
		fmt.Println(err)
		return
	}
	friday := time.Date(2026, 2, 6, 12, 0, 0, 0, time.UTC)
	slot, missed, _ := s.Due(friday, friday.AddDate(0, 0, 3))
	fmt.Println(s, "is due for", slot.Format("Mon 15:04"), "and", missed, "slots before")
	// Output: 0 */6 * * 1-5 is due for Mon 12:00 and 3 slots before
}
