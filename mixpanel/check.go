package mixpanel

import (
	"cmp"
	"context"
	"net/http"
	"strings"
)

// Standing says how sure a finding is.
type Standing string

// The standings.
const (
	Proven     Standing = "proven"
	Failed     Standing = "failed"
	Warned     Standing = "warning"
	Unprovable Standing = "unprovable" // Mixpanel gives no way to find out without leaving traces
)

// Finding is one result of a check.
type Finding struct {
	Subject  string   `json:"subject"` // a few words, stable
	Standing Standing `json:"standing"`
	Text     string   `json:"text"` // a sentence or two for people, free of secrets
}

// Passed tells whether none of the findings has failed.
func Passed(findings []Finding) bool {
	for _, f := range findings {
		if f.Standing == Failed {
			return false
		}
	}
	return true
}

// bogus is a project token that can not exist: what proves that tokens are looked at.
const bogus = "muster-check-no-such-project"

// Check finds out what can be known about the settings without storing anything in Mixpanel:
// it sends empty lists of events to /import, which authenticates them and stores nothing. The
// rest of the findings names what can not be proven and the traps that Mixpanel is silent about.
func (d *Destination) Check(ctx context.Context) []Finding {
	s := &d.settings
	_, _, kind := s.credentials()
	findings := d.checkToken(ctx)
	if kind != withToken {
		user, pass, _ := s.credentials()
		findings = append(findings, d.client.probeFinding(ctx, string(kind), user, pass))
	}
	return append(findings, s.warnings()...)
}

// checkToken proves the project token, by which profiles are addressed whatever /import is
// authenticated with. A control with a token that can not exist shows whether the answer means anything.
func (d *Destination) checkToken(ctx context.Context) []Finding {
	s := &d.settings
	token := d.client.probeFinding(ctx, "project token", s.Token.Reveal(), "")
	if token.Standing != Proven {
		if home := d.elsewhere(ctx); home != "" {
			token.Text += " It is known in region " + home + ": set region to " + home + "."
		}
		return []Finding{token}
	}
	if control := d.client.probeFinding(ctx, "control", bogus, ""); control.Standing == Proven {
		token.Standing = Unprovable
		token.Text = "The server accepts any project token, so nothing is proven; with base_url set, check the server behind it."
		return []Finding{token}
	}
	region := Finding{Subject: "region", Standing: Proven, Text: "The project token is known in region " + s.region() + "."}
	if s.BaseURL != "" {
		region.Standing = Unprovable
		region.Text = "base_url is set: which region it leads to can not be seen from here."
	}
	return []Finding{token, region}
}

// elsewhere finds the region that knows the project token, "" if none does. Where base_url is
// set, the address was chosen on purpose and no other is asked.
func (d *Destination) elsewhere(ctx context.Context) string {
	s := &d.settings
	if s.BaseURL != "" {
		return ""
	}
	for _, region := range [...]string{RegionUS, RegionEU, RegionIndia} {
		if region == s.region() {
			continue
		}
		settings := *s
		settings.Region, settings.EnableEuropeanUnionEndpoint = region, region == RegionEU
		there, err := NewClient(settings, d.client.http)
		if err != nil {
			return ""
		}
		known := there.probeFinding(ctx, "project token", s.Token.Reveal(), "")
		if known.Standing == Proven && there.probeFinding(ctx, "control", bogus, "").Standing == Failed {
			return region
		}
	}
	return ""
}

// probeFinding sends an empty list of events with these credentials.
func (c *Client) probeFinding(ctx context.Context, subject, user, pass string) Finding {
	f := Finding{Subject: subject}
	status, header, text, failure := c.exchange(ctx, Import, user, pass, []byte("[]"), "")
	a := failure
	if status != 0 {
		a = judge(Import, nil, status, header, text)
	}
	switch {
	case status == http.StatusOK && a.verdict == accepted, a.verdict == refused:
		// 400 is about the empty list: the credentials were looked at before.
		f.Standing, f.Text = Proven, "Mixpanel accepts the "+subject+"."
	case a.verdict == halted:
		f.Standing, f.Text = Failed, sentence(a.reason)+" A project of another region is refused like one that does not exist."
	default:
		f.Standing, f.Text = Failed, sentence(a.reason)
	}
	f.Text = c.presentable(f.Text)
	return f
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// warnings are the findings that follow from the settings alone.
func (s *Settings) warnings() []Finding {
	var findings []Finding
	add := func(subject string, standing Standing, text string) {
		findings = append(findings, Finding{subject, standing, text})
	}
	if s.serviceAccount() || s.APISecret != "" {
		add("token and credentials", Unprovable,
			"Whether the project token belongs to the same project as the other credentials can not be seen. "+
				"Profiles go to the project of the token, events to that of the credentials: compare both in Mixpanel's project settings.")
	}
	if s.APISecret != "" && !s.serviceAccount() {
		add("API secret retirement", Warned, "Mixpanel turns API secrets off on 3 March 2027; set up a service account, or leave api_secret out to use the project token.")
	}
	add("profiles", Unprovable, "Mixpanel answers success to profile updates with an unknown token or of another region. "+
		"After the first delivery, look for a changed profile in Mixpanel.")
	switch cmp.Or(s.IDMerge, MergeLegacy) {
	case MergeSimplified:
		add("id merge", Unprovable, "id_merge is simplified. In a project with original or legacy id merge, anonymous profiles "+
			`would be kept under "$device:" ids that nothing else uses: compare with Identity Merge in Mixpanel's project settings.`)
	default:
		add("id merge", Unprovable, "id_merge is "+cmp.Or(s.IDMerge, MergeLegacy)+". A project with simplified id merge, the default of projects "+
			"made since April 2024, refuses identity events: compare with Identity Merge in Mixpanel's project settings.")
	}
	if len(s.GroupIdentifierTraits) > 0 {
		add("group keys", Unprovable, "Mixpanel silently ignores groups whose key is not set up. Make sure that the project settings list: "+
			strings.Join(s.GroupIdentifierTraits, ", ")+".")
	}
	if !orTrue(s.People) {
		add("people", Warned, "people is off: no profile is written, so audiences and computed traits that are sent as identify calls have no effect.")
	} else if !orTrue(s.SetAllTraitsByDefault) {
		add("traits", Warned, "set_all_traits_by_default is off: audiences and computed traits reach profiles only if people_properties lists their keys.")
	}
	if !orTrue(s.Strict) {
		add("strict", Warned, "strict is off: Mixpanel drops invalid events without a word.")
	}
	if s.EventEndpoint == EventsAuto {
		add("event endpoint", Warned, "event_endpoint is auto: /track needs no credentials and answers success to events with an unknown token.")
	}
	return findings
}
