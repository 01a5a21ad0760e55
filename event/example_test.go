package event_test

import (
	"errors"
	"fmt"
	"time"

	"muster/event"
)

func ExampleDecode() {
	received := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	call, err := event.Decode([]byte(`{
		"type": "track", "messageId": "m1", "userId": 42, "event": "Order Completed",
		"timestamp": "2026-03-01T14:00:00+01:00", "sentAt": "2026-03-01T14:00:02+01:00",
		"properties": {"revenue": 29.33}
	}`), event.Envelope{ReceivedAt: received})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The client's clock was an hour ahead, which its sentAt gives away.
	fmt.Println(call.UserID, call.Event, string(call.Properties), call.Timestamp.Format(time.RFC3339))

	_, err = event.Decode([]byte(`{"type": "track", "userId": "u", "properties": {"a": {"b": "\u0000"}}}`), event.Envelope{ReceivedAt: received})
	if rej := new(event.Rejection); errors.As(err, &rej) {
		fmt.Println(rej.Code, rej.Field)
	}
	// Output:
	// 42 Order Completed {"revenue":29.33} 2026-03-01T11:59:58Z
	// invalid_character /properties/a/b
}
