package sigv4

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"antipode/regionnode/apierr"
)

// Credential is what belongs to an access key.
type Credential struct {
	Secret string
	// SessionToken must come with the request when it is not empty, and no token
	// may come when it is.
	SessionToken string
	// Expires is when the credential ends; zero is never.
	Expires time.Time
	Account string
}

// KeyStore finds credentials. It is asked once for each request and must answer
// from memory.
type KeyStore interface {
	Credential(accessKey string) (Credential, bool)
}

// Keys is a KeyStore that never changes, by access key.
type Keys map[string]Credential

// Credential finds the key's credential.
func (k Keys) Credential(accessKey string) (Credential, bool) {
	c, ok := k[accessKey]
	return c, ok
}

// Config configures a Verifier.
type Config struct {
	// Keys is required.
	Keys KeyStore
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Skew is how far a request's date may be off the clock, either way; 15
	// minutes when 0.
	Skew time.Duration
	// Service is what credentials must be scoped to; "dynamodb" when empty, which
	// clients of the streams sign for too.
	Service string
	// Region accepts a region in a scope; nil accepts every one.
	Region func(region string) bool
	// Hosts are names that clients may have signed for besides the Host received,
	// when a proxy rewrites it.
	Hosts []string
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	Config
	keys signingKeys
}

// New makes a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Keys == nil {
		return nil, errors.New("sigv4: Config.Keys is nil")
	}
	if c.Skew < 0 {
		return nil, errors.New("sigv4: Config.Skew is negative")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Skew == 0 {
		c.Skew = 15 * time.Minute
	}
	if c.Service == "" {
		c.Service = "dynamodb"
	}
	return &Verifier{Config: c}, nil
}

// Verify checks the request's signature over body, which is the body as
// received. The error is an *apierr.Error. The checks come in AWS's order.
func (v *Verifier) Verify(r *http.Request, body []byte) (Identity, error) {
	a, err := parse(r)
	if err != nil {
		return Identity{}, err
	}
	at, err := parseDate(a.date)
	if err != nil {
		return Identity{}, err
	}
	now := v.Now()
	if err := v.checkAge(at, now, a.lifetime); err != nil {
		return Identity{}, err
	}
	if err := checkSigned(r, a.signed); err != nil {
		return Identity{}, err
	}
	if a.algorithm != algorithm {
		return Identity{}, apierr.Newf(apierr.IncompleteSignature,
			"Unsupported AWS 'algorithm': '%s' (only %s for now). ", a.algorithm, algorithm)
	}
	s, err := parseCredential(a.credential)
	if err != nil {
		return Identity{}, err
	}
	if err := v.checkScope(s, a.date); err != nil {
		return Identity{}, err
	}
	c, ok := v.Keys.Credential(s.accessKey)
	if !ok {
		return Identity{}, unrecognized()
	}
	if !v.matches(r, body, a, s, c.Secret) {
		return Identity{}, apierr.New(apierr.InvalidSignature,
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	if err := checkToken(a.token, c, now); err != nil {
		return Identity{}, err
	}
	return Identity{AccessKey: s.accessKey, Region: s.region, Service: s.service, Account: c.Account}, nil
}

func unrecognized() error {
	return apierr.New(apierr.UnrecognizedClient, "The security token included in the request is invalid.")
}

// basicFormat is ISO 8601 as SigV4 uses it.
const basicFormat = "20060102T150405Z"

// signedDate is what a Date header says in the form that is signed.
func signedDate(header string) string {
	if t, err := http.ParseTime(header); err == nil {
		return t.UTC().Format(basicFormat)
	}
	return header
}

// parseDate reads the date that was signed.
func parseDate(date string) (time.Time, error) {
	t, err := time.Parse(basicFormat, date)
	if err != nil {
		return time.Time{}, apierr.Newf(apierr.IncompleteSignature,
			"Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
	}
	return t, nil
}

// checkAge refuses a signature that is older than its lifetime, the skew where it
// has none, or from the future. It compares in whole seconds, which is all that a
// date holds.
func (v *Verifier) checkAge(at, now time.Time, lifetime time.Duration) error {
	now = now.UTC().Truncate(time.Second)
	if lifetime == 0 {
		lifetime = v.Skew
	}
	if low := now.Add(-lifetime); at.Before(low) {
		return apierr.Newf(apierr.InvalidSignature, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			at.Format(basicFormat), low.Format(basicFormat), now.Format(basicFormat), int(lifetime/time.Minute))
	}
	if high := now.Add(v.Skew); at.After(high) {
		return apierr.Newf(apierr.InvalidSignature, "Signature not yet current: %s is still later than %s (%s + %d min.)",
			at.Format(basicFormat), high.Format(basicFormat), now.Format(basicFormat), int(v.Skew/time.Minute))
	}
	return nil
}

// checkSigned demands that the host and every x-amz-* header present are signed.
func checkSigned(r *http.Request, signed string) error {
	if !lists(signed, "host") {
		return apierr.New(apierr.InvalidSignature, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if len(name) > 6 && strings.EqualFold(name[:6], "x-amz-") && !lists(signed, name) {
			return apierr.Newf(apierr.InvalidSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// lists tells whether signed, a list by semicolons, has name in any case.
func lists(signed, name string) bool {
	for signed != "" {
		var one string
		one, signed, _ = strings.Cut(signed, ";")
		if strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

// checkScope reports everything that is wrong with a credential's scope.
func (v *Verifier) checkScope(s scope, date string) error {
	var wrong strings.Builder
	if s.region == "" || v.Region != nil && !v.Region(s.region) {
		wrong.WriteString("Credential should be scoped to a valid region, not '" + s.region + "'. ")
	}
	if s.service != v.Service {
		wrong.WriteString("Credential should be scoped to correct service: '" + v.Service + "'. ")
	}
	if s.terminator != terminator {
		wrong.WriteString("Credential should be scoped with a valid terminator: '" + terminator + "', not '" + s.terminator + "'. ")
	}
	if s.date != date[:8] {
		wrong.WriteString("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			s.date + "' != '" + date[:8] + "', from '" + date + "'. ")
	}
	if wrong.Len() == 0 {
		return nil
	}
	return apierr.New(apierr.InvalidSignature, strings.TrimSuffix(wrong.String(), " "))
}

// checkToken checks the session token and the credential's end.
func checkToken(token string, c Credential, now time.Time) error {
	if subtle.ConstantTimeCompare([]byte(token), []byte(c.SessionToken)) != 1 {
		return unrecognized()
	}
	if !c.Expires.IsZero() && !now.Before(c.Expires) {
		return apierr.New(apierr.ExpiredToken, "The security token included in the request is expired")
	}
	return nil
}

// matches computes the signature and compares in constant time, for the Host
// received and then for each other name it may have been signed for.
func (v *Verifier) matches(r *http.Request, body []byte, a authorization, s scope, secret string) bool {
	var want, got [sha256Size]byte
	if len(a.signature) != 2*sha256Size {
		return false
	}
	if _, err := hex.Decode(want[:], []byte(a.signature)); err != nil {
		return false
	}
	b := newCanonical(body)
	defer b.free()
	mac := v.keys.mac(s, secret)
	defer mac.free()
	for i := -1; i < len(v.Hosts); i++ {
		host := r.Host
		if i >= 0 {
			host = v.Hosts[i]
		}
		mac.sign(got[:0], b.stringToSign(r, host, a, s))
		if subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
			return true
		}
	}
	return false
}
