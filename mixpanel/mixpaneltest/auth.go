package mixpaneltest

import (
	"crypto/subtle"
)

// authenticate finds the project of the credentials of /import. problem is what
// the 401 says, or "".
func (c *call) authenticate() (p *project, problem string) {
	user, password, ok := c.request.BasicAuth()
	if !ok {
		return nil, "Invalid credentials"
	}
	if id := c.query.Get("project_id"); id != "" && password != "" {
		for _, token := range c.server.tokens {
			p := c.server.projects[token]
			secret, known := p.ServiceAccounts[user]
			if known && p.ProjectID == id && same(secret, password) {
				return p, ""
			}
		}
		return nil, "Invalid service account credentials"
	}
	if password != "" {
		return nil, "Invalid credentials"
	}
	// A project_id beside a token or a secret is not needed; it must not contradict [assumed].
	for _, token := range c.server.tokens {
		p := c.server.projects[token]
		if id := c.query.Get("project_id"); id != "" && id != p.ProjectID {
			continue
		}
		end := c.server.options.SecretAuthEnd
		bySecret := p.Secret != "" && same(p.Secret, user) && (end.IsZero() || c.now.Before(end))
		if same(token, user) || bySecret {
			return p, ""
		}
	}
	return nil, "Invalid credentials"
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
