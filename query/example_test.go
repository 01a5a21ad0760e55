package query_test

import (
	"fmt"
	"time"

	"muster/query"
)

func ExampleCompile() {
	d, _ := query.Compile(`event("Order Completed").where(property('revenue').gte(50)).within(2 weeks).count() >= 2 and trait('plan') == 'pro'`, query.CheckOptions{})
	fmt.Println(d.Text())
	fmt.Println(d.Class, "because of", d.ClassBecause)

	at := func(day int) time.Time { return time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC) }
	p := query.Profile{
		Traits: map[string]query.Value{"plan": query.Text("pro")},
		Events: []*query.Event{
			{Name: "Order Completed", Time: at(3), Properties: []byte(`{"revenue": 80}`)},
			{Name: "Order Completed", Time: at(9), Properties: []byte(`{"revenue": "50.00"}`)},
		},
	}
	next, _ := d.NextChange(p, at(10))
	fmt.Println(d.Eval(p, at(10)), "until", next.Format(time.DateOnly))
	// Output:
	// event('Order Completed').where(property('revenue') >= 50).within(14 days).count() >= 2 AND trait('plan') = 'pro'
	// scheduled because of [event('Order Completed').within(14 days)]
	// true until 2026-03-17
}

func ExampleDiagnostics_Render() {
	_, diagnostics := query.Compile("event('Order Completed')\n  .wihtin(3 months).count() >= 1 trait('plan') = 'pro'", query.CheckOptions{})
	fmt.Print(diagnostics.Render())
	// Output:
	// 2:4: error[unknown_function]: there is no function `wihtin`
	//       .wihtin(3 months).count() >= 1 trait('plan') = 'pro'
	//        ^
	//     hint: did you mean `within`?
	// 2:34: error[unexpected_token]: did not expect `trait` here
	//       .wihtin(3 months).count() >= 1 trait('plan') = 'pro'
	//                                      ^
	//     hint: put AND or OR between two conditions
}
