package sigv4

import (
	"net/http"
	"strings"

	"antipode/regionnode/apierr"
)

// Identity is who signed a request and for what.
type Identity struct {
	AccessKey string
	Region    string
	Service   string
	// Account owns the access key; empty from Parse.
	Account string
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
)

// authorization is the Authorization header taken apart; all parts are slices
// of it.
type authorization struct {
	algorithm  string
	credential string // accessKey/date/region/service/terminator
	signed     string // the signed headers' names, by semicolons
	signature  string
}

// scope is a credential taken apart.
type scope struct {
	accessKey, date, region, service, terminator string
}

// Parse returns what the Authorization header claims, without checking the
// signature, the date or the access key.
func Parse(r *http.Request) (Identity, error) {
	a, err := parseHeader(r)
	if err != nil {
		return Identity{}, err
	}
	s, err := parseCredential(a.credential)
	if err != nil {
		return Identity{}, err
	}
	return Identity{AccessKey: s.accessKey, Region: s.region, Service: s.service}, nil
}

// parseHeader takes the Authorization header apart and checks that nothing is
// missing.
func parseHeader(r *http.Request) (authorization, error) {
	header := strings.TrimSpace(r.Header.Get("Authorization"))
	if header != "" && strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm") && r.URL.Query().Has("X-Amz-Algorithm") {
		return authorization{}, apierr.New(apierr.InvalidSignature,
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	}
	if !strings.HasPrefix(header, "AWS4-") {
		return authorization{}, apierr.New(apierr.MissingAuthenticationToken, "Request is missing Authentication Token")
	}
	var a authorization
	rest := ""
	a.algorithm, rest, _ = strings.Cut(header, " ")
	for rest != "" {
		var part string
		part, rest = nextPart(rest)
		switch name, value, _ := strings.Cut(part, "="); name {
		case "Credential":
			a.credential = value
		case "SignedHeaders":
			a.signed = value
		case "Signature":
			a.signature = value
		}
	}
	return a, a.complete(r, header)
}

// nextPart splits at the next comma or space.
func nextPart(s string) (part, rest string) {
	if i := strings.IndexAny(s, ", "); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// complete refuses a header with a part missing, naming every one.
func (a authorization) complete(r *http.Request, header string) error {
	var gaps strings.Builder
	for _, p := range [...]struct{ name, value string }{
		{"Credential", a.credential}, {"Signature", a.signature}, {"SignedHeaders", a.signed},
	} {
		if p.value == "" {
			gaps.WriteString("Authorization header requires '" + p.name + "' parameter. ")
		}
	}
	if r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		gaps.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if gaps.Len() == 0 {
		return nil
	}
	return apierr.New(apierr.IncompleteSignature, gaps.String()+"Authorization="+header)
}

func parseCredential(credential string) (scope, error) {
	var s scope
	rest := strings.TrimRight(credential, "/")
	fields := [...]*string{&s.accessKey, &s.date, &s.region, &s.service}
	for _, f := range fields {
		var ok bool
		if *f, rest, ok = strings.Cut(rest, "/"); !ok {
			return s, badCredential(credential)
		}
	}
	if s.terminator = rest; strings.Contains(rest, "/") || rest == "" {
		return s, badCredential(credential)
	}
	return s, nil
}

func badCredential(credential string) error {
	return apierr.Newf(apierr.IncompleteSignature,
		"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
}
