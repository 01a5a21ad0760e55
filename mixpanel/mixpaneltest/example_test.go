package mixpaneltest_test

import (
	"fmt"
	"net/http"
	"strings"

	"muster/mixpanel/mixpaneltest"
)

func ExampleNewServer() {
	fake := mixpaneltest.NewServer(mixpaneltest.Options{
		Projects: []mixpaneltest.Project{{Token: "my-token", IDMerge: mixpaneltest.Simplified}},
	})
	url, err := fake.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fake.Close()

	record := `[{"$token":"my-token","$distinct_id":"ada","$ip":0,"$set":{"big_spenders":true}}]`
	res, err := http.Post(url+"/engage?ip=0", "application/json", strings.NewReader(record))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()

	profile, _ := fake.Profile("my-token", "ada")
	fmt.Println(profile.DistinctID, profile.Properties, len(fake.Violations()))
	// Output: ada map[big_spenders:true] 0
}
