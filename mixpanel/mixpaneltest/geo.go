package mixpaneltest

import (
	"net/netip"

	"github.com/go-json-experiment/json/jsontext"
)

// GeoSource says by which address Mixpanel would locate a profile or an event.
// The fake has no map: it notes the source instead of inventing a city.
type GeoSource string

// The sources.
const (
	GeoNone    GeoSource = ""        // nothing ever asked for a location
	GeoGiven   GeoSource = "given"   // the address in the record
	GeoSkipped GeoSource = "skipped" // the record or the request said 0
	GeoRequest GeoSource = "request" // the address of the sender: nearly always a mistake
)

// geoOf judges the ip of a record; v is nil when it has none. An ip that is no
// address counts as none [assumed].
func geoOf(v jsontext.Value, byRequest bool) GeoSource {
	switch {
	case v == nil:
	case string(v) == "0" || string(v) == `"0"`:
		return GeoSkipped
	case v.Kind() == '"':
		if _, err := netip.ParseAddr(string(unquote(v))); err == nil {
			return GeoGiven
		}
	}
	if byRequest {
		return GeoRequest
	}
	return GeoSkipped
}
