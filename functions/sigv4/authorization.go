package sigv4

import (
	"net/http"
	"strings"
	"time"

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

// authorization is what the Authorization header or the query says of the
// signature.
type authorization struct {
	algorithm  string
	credential string // accessKey/date/region/service/terminator
	signed     string // the signed headers' names, by semicolons
	signature  string

	date  string // that was signed, as received
	token string // of the session
	// query says that all this came in the query; lifetime is then how long it
	// holds, 0 for as long as any signature.
	query    bool
	lifetime time.Duration
}

// scope is a credential taken apart.
type scope struct {
	accessKey, date, region, service, terminator string
}

// Parse returns what the request claims, without checking the
// signature, the date or the access key.
func Parse(r *http.Request) (Identity, error) {
	a, err := parse(r)
	if err != nil {
		return Identity{}, err
	}
	s, err := parseCredential(a.credential)
	if err != nil {
		return Identity{}, err
	}
	return Identity{AccessKey: s.accessKey, Region: s.region, Service: s.service}, nil
}

// parse finds the signature in the header or in the query.
func parse(r *http.Request) (authorization, error) {
	header := strings.TrimSpace(r.Header.Get("Authorization"))
	switch inQuery := presigned(r); {
	case inQuery && header != "":
		return authorization{}, apierr.New(apierr.InvalidSignature,
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case inQuery:
		return parseQuery(r.URL.Query())
	}
	return parseHeader(r, header)
}

// parseHeader takes the Authorization header apart and checks that nothing is
// missing.
func parseHeader(r *http.Request, header string) (authorization, error) {
	if !strings.HasPrefix(header, "AWS4-") {
		return authorization{}, apierr.New(apierr.MissingAuthenticationToken, "Request is missing Authentication Token")
	}
	a := authorization{date: r.Header.Get("X-Amz-Date"), token: r.Header.Get("X-Amz-Security-Token")}
	if a.date == "" {
		a.date = signedDate(r.Header.Get("Date"))
	}
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
	return a, a.complete(header)
}

// nextPart splits at the next comma or space.
func nextPart(s string) (part, rest string) {
	if i := strings.IndexAny(s, ", "); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// complete refuses a header with a part missing, naming every one.
func (a authorization) complete(header string) error {
	var gaps strings.Builder
	for _, p := range [...]struct{ name, value string }{
		{"Credential", a.credential}, {"Signature", a.signature}, {"SignedHeaders", a.signed},
	} {
		if p.value == "" {
			gaps.WriteString("Authorization header requires '" + p.name + "' parameter. ")
		}
	}
	if a.date == "" {
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
