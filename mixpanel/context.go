package mixpanel

import "strings"

// fact is something that a call's context tells about the circumstances.
type fact uint8

const (
	osName fact = iota
	osVersion
	browser
	browserVersion
	pageURL
	referrer
	deviceName
	deviceManufacturer
	deviceModel
	advertisingID
	carrier
	wifi
	bluetooth
	cellular
	screenWidth
	screenHeight
	screenDensity
	appVersion
	appBuild
	campaignName
	campaignSource
	campaignMedium
	campaignTerm
	campaignContent
	factCount
)

// platform is the kind of device, where Mixpanel's names differ by it.
type platform uint8

const (
	unknownPlatform platform = iota // as a condition: any
	ios
	android
	otherPlatform
)

// contextName says under which property a fact is known.
type contextName struct {
	fact     fact
	platform platform
	name     string
	key      []byte // name, for comparing with the names of a call
}

// prepared fills in the keys.
func prepared(names []contextName) []contextName {
	for i := range names {
		names[i].key = []byte(names[i].name)
	}
	return names
}

// eventContext are the properties of events. $brand and $lib_version are left out on purpose.
var eventContext = prepared([]contextName{
	{fact: osName, name: "$os"},
	{fact: osVersion, name: "$os_version"},
	{fact: browser, name: "$browser"},
	{fact: browserVersion, name: "$browser_version"},
	{fact: pageURL, name: "$current_url"},
	{fact: referrer, name: "$referrer"},
	{fact: deviceName, name: "$device"},
	{fact: deviceManufacturer, name: "$manufacturer"},
	{fact: deviceModel, name: "$model"},
	{fact: advertisingID, platform: ios, name: "$ios_ifa"},
	{fact: carrier, name: "$carrier"},
	{fact: wifi, name: "$wifi"},
	{fact: bluetooth, name: "$bluetooth_enabled"},
	{fact: cellular, platform: android, name: "$has_telephone"},
	{fact: screenWidth, name: "$screen_width"},
	{fact: screenHeight, name: "$screen_height"},
	{fact: screenDensity, name: "$screen_dpi"},
	{fact: appVersion, name: "$app_version_string"},
	{fact: appBuild, name: "$app_build_number"},
	{fact: campaignName, name: "utm_campaign"},
	{fact: campaignSource, name: "utm_source"},
	{fact: campaignMedium, name: "utm_medium"},
	{fact: campaignTerm, name: "utm_term"},
	{fact: campaignContent, name: "utm_content"},
})

// profileContext are the properties of profiles. On iOS $ios_app_release is the
// marketing version and $ios_app_version the build, as Mixpanel defines them.
var profileContext = prepared([]contextName{
	{fact: osName, name: "$os"},
	{fact: osName, platform: android, name: "$android_os"},
	{fact: osVersion, platform: ios, name: "$ios_version"},
	{fact: osVersion, platform: android, name: "$android_os_version"},
	{fact: browser, name: "$browser"},
	{fact: browserVersion, name: "$browser_version"},
	{fact: deviceManufacturer, name: "$manufacturer"},
	{fact: deviceManufacturer, platform: android, name: "$android_manufacturer"},
	{fact: deviceModel, name: "$model"},
	{fact: deviceModel, platform: ios, name: "$ios_device_model"},
	{fact: deviceModel, platform: android, name: "$android_model"},
	{fact: advertisingID, platform: ios, name: "$ios_ifa"},
	{fact: carrier, name: "$carrier"},
	{fact: wifi, name: "$wifi"},
	{fact: screenWidth, name: "$screen_width"},
	{fact: screenHeight, name: "$screen_height"},
	{fact: appVersion, platform: ios, name: "$ios_app_release"},
	{fact: appBuild, platform: ios, name: "$ios_app_version"},
	{fact: appVersion, platform: android, name: "$android_app_version"},
	{fact: appBuild, platform: android, name: "$android_app_version_code"},
})

// circumstances is what the mapper reads from a call's context. All values are JSON as
// it stands in the call; nil means that the context does not tell.
type circumstances struct {
	facts    [factCount][]byte
	platform platform

	traits    []byte // context.traits
	library   []byte // context.library.name, a string
	pushToken []byte // context.device.token, a string
	ip        []byte // a string, or 0 when the call asks not to locate it
	inactive  bool   // context.active is false: "Last Seen" must not move
	computed  bool   // context.personas is there: an audience or trait of the engine
	cleanup   bool   // what it was told is taken back
}

// contextPaths are the plain facts: where they stand in the context.
var contextPaths = map[string]map[string]fact{
	"os":      {"name": osName, "version": osVersion},
	"network": {"carrier": carrier, "wifi": wifi, "bluetooth": bluetooth, "cellular": cellular},
	"screen":  {"width": screenWidth, "height": screenHeight, "density": screenDensity},
	"app":     {"version": appVersion, "build": appBuild},
	"campaign": {
		"name": campaignName, "source": campaignSource, "medium": campaignMedium,
		"term": campaignTerm, "content": campaignContent,
	},
	"device": {
		"name": deviceName, "manufacturer": deviceManufacturer, "model": deviceModel,
		"advertisingId": advertisingID,
	},
}

// readContext reads a call's context into c, which must be empty. ok is false when it is malformed.
func (c *circumstances) readContext(text []byte) (ok bool) {
	var deviceType, pageReferrer, userAgent []byte
	var m member
	r := readObject(text)
	for r.next(&m) {
		switch string(m.name) {
		case "traits":
			if isObject(m.value) {
				c.traits = m.value
			}
		case "ip":
			c.ip = locatable(m.value)
		case "active":
			c.inactive = string(m.value) == "false"
		case "personas":
			c.computed = isObject(m.value)
			c.cleanup = string(pick(m.value, "reason")) == `"cleanup"`
		case "userAgent":
			userAgent = filledString(m.value)
		case "library":
			c.library = filledString(pick(m.value, "name"))
		case "page":
			c.facts[pageURL] = scalar(pick(m.value, "url"))
			pageReferrer = scalar(pick(m.value, "referrer"))
		case "referrer":
			c.facts[referrer] = scalar(pick(m.value, "url"))
		case "device":
			deviceType = filledString(pick(m.value, "type"))
			c.pushToken = filledString(pick(m.value, "token"))
			c.gather(contextPaths["device"], m.value)
		case "os", "network", "screen", "app", "campaign":
			c.gather(contextPaths[string(m.name)], m.value)
		}
	}
	if c.facts[referrer] == nil {
		c.facts[referrer] = pageReferrer
	}
	c.choosePlatform(deviceType)
	if userAgent != nil {
		name, version := browserOf(string(unquote(userAgent)))
		if name != "" {
			c.facts[browser] = appendString(nil, name)
		}
		if version != "" {
			c.facts[browserVersion] = appendString(nil, version)
		}
	}
	return !r.bad
}

// choosePlatform believes the device type, else the name of the library, else the system's.
func (c *circumstances) choosePlatform(deviceType []byte) {
	if deviceType != nil {
		switch strings.ToLower(string(deviceType)) {
		case `"ios"`:
			c.platform = ios
		case `"android"`:
			c.platform = android
		default:
			c.platform = otherPlatform
		}
		return
	}
	for _, hint := range [][]byte{c.library, filledString(c.facts[osName])} {
		for _, word := range strings.FieldsFunc(strings.ToLower(string(hint)), notLetter) {
			switch word {
			case "android":
				c.platform = android
				return
			case "ios", "ipados":
				c.platform = ios
				return
			}
		}
	}
}

func notLetter(r rune) bool { return r < 'a' || r > 'z' }

// gather takes the scalars of object that paths asks for.
func (c *circumstances) gather(paths map[string]fact, object []byte) {
	if !isObject(object) {
		return
	}
	var m member
	for r := readObject(object); r.next(&m); {
		if f, wanted := paths[string(m.name)]; wanted {
			c.facts[f] = scalar(m.value)
		}
	}
}

// applies tells whether a name is used on platform p.
func (n *contextName) applies(p platform) bool {
	return n.platform == unknownPlatform || n.platform == p
}

var noLocation = []byte("0")

// locatable reads an IP address: text, or 0 for "do not locate"; nil when there is none.
func locatable(value []byte) []byte {
	if string(value) == "0" || string(value) == `"0"` {
		return noLocation
	}
	return filledString(value)
}
