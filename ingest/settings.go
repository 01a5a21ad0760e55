package ingest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The settings that browser and mobile libraries fetch when they start: where to
// send calls, which integrations they run themselves, and that every event is welcome.
type (
	librarySettings struct {
		Integrations map[string]any `json:"integrations"` // a segmentIO, and APIConfig.Integrations as they are
		Plan         trackingPlan   `json:"plan"`
		Metrics      metricSettings `json:"metrics"`
	}
	segmentIO struct {
		APIKey                string   `json:"apiKey"`
		APIHost               string   `json:"apiHost"`
		Protocol              string   `json:"protocol"`
		UnbundledIntegrations []string `json:"unbundledIntegrations"`
		AddBundledMetadata    bool     `json:"addBundledMetadata"`
	}
	trackingPlan struct {
		Track map[string]plannedEvent `json:"track"`
	}
	plannedEvent struct {
		Enabled      bool           `json:"enabled"`
		Integrations map[string]any `json:"integrations"`
	}
	metricSettings struct {
		SampleRate int `json:"sampleRate"`
	}
)

// ownIntegration is how libraries know the Tracking API itself.
const ownIntegration = "Segment.io"

// checkIntegrations tells what is wrong with APIConfig.Integrations.
func checkIntegrations(bySource map[string]map[string]jsontext.Value) error {
	for source, integrations := range bySource {
		for name, settings := range integrations {
			switch {
			case source == "" || name == "" || name == ownIntegration:
				return fmt.Errorf("source %q: an integration cannot have the name %q, and neither name can be empty", source, name)
			case settings.Kind() != '{' || !settings.IsValid():
				return fmt.Errorf("source %q: the settings of the integration %s are no JSON object", source, name)
			}
		}
	}
	return nil
}

// settings answers GET /v1/projects/{writeKey}/settings.
func (a *API) settings(w http.ResponseWriter, r *http.Request, key string) {
	src, why := a.source(r.Context(), key)
	if why != nil && (why.status != http.StatusUnauthorized || !a.cfg.LenientAuth) {
		if why.status == http.StatusUnauthorized {
			why.status = http.StatusNotFound
		}
		reply(w, why)
		return
	}
	protocol, host := a.publicAddress(r)
	integrations := map[string]any{ownIntegration: segmentIO{
		APIKey: key, APIHost: host + "/v1", Protocol: protocol,
		UnbundledIntegrations: []string{}, AddBundledMetadata: true,
	}}
	for name, settings := range a.cfg.Integrations[src.Name] {
		integrations[name] = settings
	}
	text, err := json.Marshal(librarySettings{
		Integrations: integrations,
		Plan: trackingPlan{Track: map[string]plannedEvent{
			"__default": {Enabled: true, Integrations: map[string]any{}},
		}},
	}, json.Deterministic(true)) // caches compare answers
	if err != nil { // a host name or key that is not UTF-8
		reply(w, refuse(http.StatusBadRequest, CodeUnreadableBody, "the request's host or key is not valid text"))
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=120")
	w.Header().Add("Vary", "Host, X-Forwarded-Proto")
	writeJSON(w, http.StatusOK, text)
}

// publicAddress is the address that clients send their calls to: the configured one,
// else the one at which this request arrived.
func (a *API) publicAddress(r *http.Request) (protocol, host string) {
	if a.public != nil {
		return a.public.Scheme, a.public.Host + strings.TrimRight(a.public.Path, "/")
	}
	protocol = "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		protocol = "https"
	}
	return protocol, r.Host
}

// ParsePublicURL checks the configured address; nil when there is none.
func ParsePublicURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is no public address; use one such as https://events.example.com", s)
	}
	return u, nil
}
