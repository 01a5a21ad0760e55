package mixpanel

import "strings"

// browserMarks are looked for in order; the first one in the user agent decides.
// Browsers imitate one another, so the rarer name must come before the one it hides behind.
var browserMarks = []struct{ mark, name, version string }{
	{"OPR/", "Opera", "OPR/"},
	{"OPiOS/", "Opera", "OPiOS/"},
	{"Opera Mini/", "Opera Mini", "Opera Mini/"},
	{"Opera/", "Opera", "Version/"},
	{"BB10", "BlackBerry", "Version/"},
	{"BlackBerry", "BlackBerry", "Version/"},
	{"IEMobile", "Internet Explorer Mobile", "IEMobile/"},
	{"SamsungBrowser/", "Samsung Internet", "SamsungBrowser/"},
	{"EdgiOS/", "Microsoft Edge", "EdgiOS/"},
	{"EdgA/", "Microsoft Edge", "EdgA/"},
	{"Edge/", "Microsoft Edge", "Edge/"},
	{"Edg/", "Microsoft Edge", "Edg/"},
	{"FBIOS", "Facebook Mobile", "FBAV/"},
	{"UCBrowser/", "UC Browser", "UCBrowser/"},
	{"CriOS/", "Chrome iOS", "CriOS/"},
	{"FxiOS/", "Firefox iOS", "FxiOS/"},
	{"Chrome/", "Chrome", "Chrome/"},
	{"Konqueror", "Konqueror", "Konqueror/"},
	{"Firefox/", "Firefox", "Firefox/"},
	{"MSIE ", "Internet Explorer", "MSIE "},
	{"Trident/", "Internet Explorer", "rv:"},
}

// browserOf reads the browser's name, as Mixpanel's own library words it, and its full
// version from a user agent. Both are "" when it is none that is known.
func browserOf(userAgent string) (name, version string) {
	for _, b := range browserMarks {
		if strings.Contains(userAgent, b.mark) {
			return b.name, versionAfter(userAgent, b.version)
		}
	}
	switch {
	case !strings.Contains(userAgent, "Safari/") || !strings.Contains(userAgent, "Version/"):
		return "", ""
	case strings.Contains(userAgent, "Android"):
		return "Android Mobile", versionAfter(userAgent, "Version/")
	case strings.Contains(userAgent, "Mobile/"):
		return "Mobile Safari", versionAfter(userAgent, "Version/")
	}
	return "Safari", versionAfter(userAgent, "Version/")
}

// versionAfter is the run of digits and dots behind mark.
func versionAfter(userAgent, mark string) string {
	_, rest, found := strings.Cut(userAgent, mark)
	if !found {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end >= 0 {
		rest = rest[:end]
	}
	return strings.TrimRight(rest, ".")
}
