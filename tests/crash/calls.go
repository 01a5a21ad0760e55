package crash

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Write keys of the two sources. What comes from the web is forwarded to Mixpanel as well.
const (
	webKey = "web-of-the-crash-test"
	appKey = "app-of-the-crash-test"
)

var (
	categories = []string{"Shoes", "Hats", "Books"}
	levels     = []string{"basic", "silver", "gold"}
)

// call is one Segment call, as it is sent and as it has to be stored.
type call struct {
	id        string // messageId
	kind      string // type
	web       bool   // of the source that is forwarded
	user      string // "" if it is of somebody anonymous
	anonymous string // "" if it has none; of an alias: previousId
	email     string // in the traits of an identify
	level     string // the same
	group     string // of a group call
	event     string // name by which definitions see it, "" for identify, group and alias
	at        time.Time
	clamped   bool // its time lies too far ahead, and becomes that of its receipt
	body      []byte

	uncertain bool // Mixpanel may have heard of it or not
}

// people are who the calls are of. Each device belongs to one user for good, so that who is
// joined with whom does not depend on the order in which calls are stored.
const (
	users    = 48
	devices  = 3 // of each user
	emails   = 2 // of each user
	visitors = 12
)

func userID(user int) string { return fmt.Sprintf("user-%d", user) }

// deviceID is a version 4 UUID, as Segment's libraries make them.
func deviceID(user, device int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "device %d of %d", device, user))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

func emailOf(user, n int) string { return fmt.Sprintf("user-%d.%d@example.net", user, n) }

// newCall makes up a call: of all types, of known and unknown people, late and ahead of time.
func newCall(r *rand.Rand, id string, web bool, now time.Time) *call {
	c := &call{id: id, web: web, at: now.Truncate(time.Millisecond)}
	c.ids(r)
	fields := map[string]any{"messageId": id}
	properties := map[string]any{"call": id}
	switch dice := r.IntN(20); {
	case dice < 12:
		c.kind = "track"
		c.event = []string{"Order Completed", "Order Completed", "Product Viewed", "Product Viewed", "Product Viewed", "Signed In"}[r.IntN(6)]
		if c.user == "" {
			c.event = "Product Viewed"
		}
		fields["event"] = c.event
		switch c.event {
		case "Order Completed":
			properties["revenue"] = jsontext.Value(fmt.Appendf(nil, "%d.%02d", 1+r.IntN(100), r.IntN(100)))
		case "Product Viewed":
			properties["category"] = categories[r.IntN(len(categories))]
		}
		fields["properties"] = properties
	case dice < 15:
		c.kind, c.event = "page", "Page Viewed"
		fields["name"], fields["properties"] = "Home", properties
	case dice < 16:
		c.kind, c.event = "screen", "Screen Viewed"
		fields["name"], fields["properties"] = "Basket", properties
	case c.user == "" || dice < 18: // visitors only become known by the calls of known users
		c.identify(r, fields)
	case dice < 19:
		c.kind, c.group = "group", fmt.Sprintf("company-%d", r.IntN(4))
		fields["groupId"], fields["traits"] = c.group, map[string]any{"company": c.group, "seats": r.IntN(50)}
	default:
		c.kind, c.anonymous = "alias", deviceID(c.number(), r.IntN(devices))
		fields["previousId"] = c.anonymous
	}
	c.when(r)
	fields["type"], fields["timestamp"] = c.kind, c.at.Format("2006-01-02T15:04:05.000Z")
	if c.user != "" {
		fields["userId"] = c.user
	}
	if c.anonymous != "" && c.kind != "alias" {
		fields["anonymousId"] = c.anonymous
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // of values that are made here
	}
	c.body = body
	return c
}

// ids are those of a known user, mostly without a device, of a user's device alone, or of a visitor.
func (c *call) ids(r *rand.Rand) {
	user := r.IntN(users)
	switch dice := r.IntN(20); {
	case dice < 13:
		c.user = userID(user)
	case dice < 15:
		c.user, c.anonymous = userID(user), deviceID(user, r.IntN(devices))
	case dice < 19:
		c.anonymous = deviceID(user, r.IntN(devices))
	default:
		c.anonymous = deviceID(users+r.IntN(visitors), 0)
	}
}

func (c *call) number() (user int) {
	_, err := fmt.Sscanf(c.user, "user-%d", &user)
	if err != nil {
		panic(err) // of an id that is made here
	}
	return user
}

func (c *call) identify(r *rand.Rand, fields map[string]any) {
	c.kind, c.level = "identify", levels[r.IntN(len(levels))]
	traits := map[string]any{"level": c.level}
	if c.user != "" && r.IntN(3) == 0 {
		c.email = emailOf(c.number(), r.IntN(emails))
		traits["email"] = c.email
	}
	fields["traits"] = traits
}

// when moves a call's time: most happen now, some are late, and clocks of some clients are ahead.
func (c *call) when(r *rand.Rand) {
	switch dice := r.IntN(20); {
	case dice < 3:
		c.at = c.at.Add(-time.Duration(r.IntN(180_000)) * time.Millisecond) // about the edges of windows
	case dice < 4:
		c.at = c.at.Add(-time.Duration(r.IntN(40*24)) * time.Hour)
	case dice < 5:
		c.at = c.at.Add(time.Duration(r.IntN(90_000)) * time.Millisecond)
	case dice == 5 && r.IntN(4) == 0:
		c.at, c.clamped = c.at.Add(72*time.Hour), true
	}
}
