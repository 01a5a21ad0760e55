package event

import (
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Field names one of the JSON objects of a call, for [Call.Lookup].
type Field string

// The objects of a call.
const (
	InProperties   Field = "properties"
	InTraits       Field = "traits"
	InContext      Field = "context"
	InIntegrations Field = "integrations"
)

// Lookup follows path through the members of an object of the call, for example
// c.Lookup(InContext, "device", "id"). It returns nil when there is nothing at the
// path, and the JSON text null when the client wrote null.
func (c *Call) Lookup(in Field, path ...string) jsontext.Value {
	var v jsontext.Value
	switch in {
	case InProperties:
		v = c.Properties
	case InTraits:
		v = c.Traits
	case InContext:
		v = c.Context
	case InIntegrations:
		v = c.Integrations
	}
	for _, name := range path {
		if v = find(v, name); v == nil {
			return nil
		}
	}
	return v
}

// lookupText is the text at a path, "" when there is none.
func (c *Call) lookupText(in Field, path ...string) string {
	s, _ := Text(c.Lookup(in, path...))
	return s
}

// Email is the address that the call gives for its user, verbatim, or "": that of
// its traits, else that of context.traits. The traits of a group call belong to the
// account, and so does an address in them.
func (c *Call) Email() string {
	if c.Type != Group {
		if email := c.lookupText(InTraits, "email"); email != "" {
			return email
		}
	}
	return c.lookupText(InContext, "traits", "email")
}

// BundledWith reports whether the page that made the call has already sent it to
// the destination itself (device mode), so that it must not be sent again.
func (c *Call) BundledWith(destination string) bool {
	for v := range elements(find(c.Metadata, "bundled")) {
		if s, ok := Text(v); ok && s == destination {
			return true
		}
	}
	return false
}

// DefinitionProperties are the properties that definitions see. A page or screen
// call shows its name and category there too, and its name as page_name or
// screen_name; what the client itself wrote into the properties wins. Nil when
// there are none.
func (c *Call) DefinitionProperties() jsontext.Value {
	alias := ""
	switch c.Type {
	case Page:
		alias = "page_name"
	case Screen:
		alias = "screen_name"
	case Track, Identify, Group, Alias:
		return c.Properties
	}
	properties := c.Properties
	add := func(name, text string) {
		if text != "" && find(properties, name) == nil {
			properties = withMember(properties, name, quoted(text))
		}
	}
	add("name", c.Name)
	add("category", c.Category)
	add(alias, c.Name)
	return properties
}

// nameFromProperties takes the name and category of a page or screen call from its
// properties when the call itself does not tell them: some libraries write them
// only there.
func (c *Call) nameFromProperties() {
	if c.Type != Page && c.Type != Screen {
		return
	}
	if c.Name == "" {
		c.Name = c.lookupText(InProperties, "name")
	}
	if c.Category == "" {
		c.Category = c.lookupText(InProperties, "category")
	}
}

// fillChannel works out where the call was made, and adds the address of the
// connection to calls from the user's own device unless they speak of it themselves.
func (c *Call) fillChannel(remoteIP string) {
	var channel, library, ip jsontext.Value
	for name, v := range members(c.Context) {
		switch string(name) {
		case "channel":
			channel = v
		case "library":
			library = v
		case "ip":
			ip = v
		}
	}
	if c.Channel == "" && channel != nil {
		c.Channel, _ = Text(channel)
	}
	if c.Channel == "" && library != nil {
		name, _ := Text(find(library, "name"))
		c.Channel = channelOf(name)
	}
	if c.Channel != ChannelBrowser && c.Channel != ChannelMobile || ip != nil {
		return
	}
	// What proxies and their headers claim need not be an address at all.
	if ip, err := netip.ParseAddr(remoteIP); err == nil {
		c.Context = withMember(c.Context, "ip", quoted(ip.Unmap().WithZone("").String()))
	}
}

// channelOf tells the channel from the name of Segment's library, "" if unknown.
func channelOf(library string) string {
	name := strings.TrimPrefix(strings.ToLower(library), "@segment/")
	switch name {
	case "analytics.js", "analytics-next", "analytics.js-next":
		return ChannelBrowser
	case "analytics-ios", "analytics-android", "analytics-swift", "analytics-kotlin",
		"analytics-react-native", "analytics-flutter", "analytics-xamarin":
		return ChannelMobile
	case "analytics-node", "analytics-go", "analytics-python", "analytics-ruby",
		"analytics-php", "analytics-java", "analytics.net", "analytics-csharp",
		"analytics-rust", "analytics-clojure":
		return ChannelServer
	}
	return ""
}
