package mixpanel

import (
	"net/url"
	"strconv"
)

// queryOf is the query of requests to an endpoint. ip=0 keeps Mixpanel from locating users
// by the address of this machine; verbose=1 makes it say what is wrong.
func queryOf(s *Settings, e Endpoint) url.Values {
	if e != Import {
		return url.Values{"ip": {"0"}, "verbose": {"1"}}
	}
	query := url.Values{"strict": {"0"}}
	if orTrue(s.Strict) {
		query.Set("strict", "1")
	}
	if s.serviceAccount() {
		query.Set("project_id", strconv.FormatInt(s.MixpanelProjectID, 10))
	}
	return query
}

func (s *Settings) serviceAccount() bool {
	return s.ServiceAccountUsername != "" && s.ServiceAccountSecret != "" && s.MixpanelProjectID > 0
}

// credentialKind names what /import is authenticated with.
type credentialKind string

const (
	withServiceAccount credentialKind = "service account"
	withAPISecret      credentialKind = "API secret"
	withToken          credentialKind = "project token"
)

// credentials are the user and password of Basic authentication: the first complete ones.
// Mixpanel refusing them is an error to report, never a reason to try the next.
func (s *Settings) credentials() (user, password string, kind credentialKind) {
	switch {
	case s.serviceAccount():
		return s.ServiceAccountUsername, s.ServiceAccountSecret.Reveal(), withServiceAccount
	case s.APISecret != "":
		return s.APISecret.Reveal(), "", withAPISecret
	}
	return s.Token.Reveal(), "", withToken
}
