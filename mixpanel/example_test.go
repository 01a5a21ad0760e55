package mixpanel_test

import (
	"fmt"
	"time"

	"muster/event"
	"muster/mixpanel"
)

func ExampleMapper_Map() {
	mapper, err := mixpanel.NewMapper(mixpanel.Settings{Token: "my-project", EventIncrements: []string{"Logged In"}})
	if err != nil {
		panic(err)
	}
	messages, err := mapper.Map(&event.Call{
		Type:       event.Track,
		MessageID:  "m-1",
		UserID:     "ada",
		Event:      "Logged In",
		Properties: []byte(`{"from":"phone"}`),
		Timestamp:  time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC),
	}, time.Date(2026, 3, 10, 12, 0, 1, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	for _, m := range messages {
		fmt.Println(m.Endpoint, string(m.Body))
	}
	// Output:
	// /import {"event":"Logged In","properties":{"$insert_id":"c4b9ebfc-6fb3-5930-94e6-6fdda9e27916","token":"my-project","distinct_id":"ada","time":1773144000000,"ip":0,"mp_lib":"Segment: unknown","$user_id":"ada","from":"phone"}}
	// /engage {"$token":"my-project","$distinct_id":"ada","$ip":0,"$add":{"Logged In":1}}
	// /engage {"$token":"my-project","$distinct_id":"ada","$ip":0,"$set":{"Last Logged In":"2026-03-10T12:00:00"}}
}
