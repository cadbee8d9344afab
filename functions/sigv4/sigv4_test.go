package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"antipode/regionnode/apierr"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	store = Keys{
		"AKIDEXAMPLE": {Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Account: "000000000001"},
		"ASIAEXAMPLE": {Secret: "other", SessionToken: "token/with+signs==", Account: "000000000002", Expires: noon.Add(time.Hour)},
	}
)

// signing is one request to sign; its zero fields take DynamoDB's usual values.
type signing struct {
	method, url, body, accessKey, secret, token, region, service string
	header                                                       http.Header
	at                                                           time.Time
}

// received signs a request with the AWS SDK and returns it as a server gets it:
// written to a connection and parsed again.
func (s signing) received(t testing.TB) (*http.Request, []byte) {
	t.Helper()
	req, err := http.NewRequest(or(s.method, "POST"), or(s.url, "https://dynamodb.eu-west-1.amazonaws.com/"), strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	for name, values := range s.header {
		req.Header[name] = values
	}
	key := or(s.accessKey, "AKIDEXAMPLE")
	creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: or(s.secret, store[key].Secret), SessionToken: s.token}
	sum := sha256.Sum256([]byte(s.body))
	if s.at.IsZero() {
		s.at = noon
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), or(s.service, "dynamodb"), or(s.region, "eu-west-1"), s.at); err != nil {
		t.Fatal(err)
	}
	return transmit(t, req)
}

func transmit(t testing.TB, req *http.Request) (*http.Request, []byte) {
	t.Helper()
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, body
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func verifier(t testing.TB, change ...func(*Config)) *Verifier {
	t.Helper()
	c := Config{Keys: store, Now: func() time.Time { return noon }}
	for _, f := range change {
		f(&c)
	}
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused checks the code and a part of the message.
func refused(t testing.TB, err error, code apierr.Code, part string) {
	t.Helper()
	e := apierr.Of(err)
	if e == nil || e.Code != code || !strings.Contains(e.Message, part) {
		t.Fatalf("got %v, want %s with %q", err, code, part)
	}
}

func TestVerifyWhatTheSDKSigns(t *testing.T) {
	v := verifier(t)
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ -~]{0,20}`)
		s := signing{
			body:   string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "body")),
			region: rapid.StringMatching(`[a-z]{2}-[a-z]{4,9}-[1-9]`).Draw(rt, "region"),
			method: rapid.SampledFrom([]string{"POST", "GET", "PUT"}).Draw(rt, "method"),
			header: http.Header{
				"X-Amz-Meta":   rapid.SliceOfN(text, 1, 3).Draw(rt, "values"),
				"Content-Type": {"application/x-amz-json-1.0"},
			},
			url: "http://" + rapid.StringMatching(`[a-z]{1,8}(\.[a-z]{1,8})?(:[1-9][0-9]{1,3})?`).Draw(rt, "host") +
				rapid.StringMatching(`/([a-zA-Z0-9._~ +%-]{1,8}/)?`).Filter(func(p string) bool { return !strings.ContainsAny(p, "% ") }).Draw(rt, "path") +
				rapid.SampledFrom([]string{"", "?a=1", "?b=2&a=x%20y&a=%2F", "?empty"}).Draw(rt, "query"),
		}
		r, body := s.received(t)
		id, err := v.Verify(r, body)
		if err != nil {
			rt.Fatalf("%+v: %v", s, err)
		}
		if want := (Identity{"AKIDEXAMPLE", s.region, "dynamodb", "000000000001"}); id != want {
			rt.Fatalf("got %+v, want %+v", id, want)
		}
		claimed, err := Parse(r)
		if err != nil || claimed.AccessKey != id.AccessKey || claimed.Region != id.Region || claimed.Service != id.Service {
			rt.Fatalf("Parse: %+v, %v", claimed, err)
		}
	})
}

func TestVerifyRefusesWhatWasChanged(t *testing.T) {
	v := verifier(t)
	const mismatch = "The request signature we calculated does not match"
	for name, change := range map[string]func(r *http.Request, body []byte){
		"body":      func(_ *http.Request, body []byte) { body[0] ^= 1 },
		"target":    func(r *http.Request, _ []byte) { r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem") },
		"method":    func(r *http.Request, _ []byte) { r.Method = "PUT" },
		"path":      func(r *http.Request, _ []byte) { r.URL.Path = "/x" },
		"query":     func(r *http.Request, _ []byte) { r.URL.RawQuery = "x=1" },
		"host":      func(r *http.Request, _ []byte) { r.Host = "elsewhere" },
		"signature": func(r *http.Request, _ []byte) { replace(r, "Signature=", "Signature=0") },
		"not hex": func(r *http.Request, _ []byte) {
			h := r.Header.Get("Authorization")
			r.Header.Set("Authorization", h[:len(h)-1]+"g")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := signing{body: `{"TableName":"a"}`}.received(t)
			change(r, body)
			_, err := v.Verify(r, body)
			refused(t, err, apierr.InvalidSignature, mismatch)
		})
	}
	t.Run("secret", func(t *testing.T) {
		r, body := signing{secret: "wrong"}.received(t)
		_, err := v.Verify(r, body)
		refused(t, err, apierr.InvalidSignature, mismatch)
	})
}

func replace(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

func TestSkew(t *testing.T) {
	v := verifier(t)
	for _, c := range []struct {
		off  time.Duration
		want string
	}{
		{-15 * time.Minute, ""},
		{15 * time.Minute, ""},
		{-15*time.Minute - time.Second, "Signature expired: 20261123T114459Z is now earlier than 20261123T114500Z (20261123T120000Z - 15 min.)"},
		{15*time.Minute + time.Second, "Signature not yet current: 20261123T121501Z is still later than 20261123T121500Z (20261123T120000Z + 15 min.)"},
	} {
		r, body := signing{at: noon.Add(c.off)}.received(t)
		_, err := v.Verify(r, body)
		if c.want == "" {
			if err != nil {
				t.Fatalf("%v: %v", c.off, err)
			}
			continue
		}
		refused(t, err, apierr.InvalidSignature, c.want)
	}
	r, body := signing{at: noon.Add(-6 * time.Minute)}.received(t)
	_, err := verifier(t, func(c *Config) { c.Skew = 5 * time.Minute }).Verify(r, body)
	refused(t, err, apierr.InvalidSignature, "(20261123T120000Z - 5 min.)")
}

func TestRefusals(t *testing.T) {
	v := verifier(t, func(c *Config) { c.Region = func(r string) bool { return r == "eu-west-1" } })
	const mustSign = "must be a 'SignedHeader' in the AWS Authorization."
	for name, c := range map[string]struct {
		sign   signing
		change func(*http.Request)
		code   apierr.Code
		part   string
	}{
		"no header":      {change: func(r *http.Request) { r.Header.Del("Authorization") }, code: apierr.MissingAuthenticationToken, part: "Request is missing Authentication Token"},
		"another scheme": {change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, code: apierr.MissingAuthenticationToken, part: "Request is missing"},
		"presigned": {change: func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
		}, code: apierr.IncompleteSignature, part: "AWS query-string parameters must include 'X-Amz-Credential'. " +
			"AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. " +
			"AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		"both":            {change: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }, code: apierr.InvalidSignature, part: "Found both 'X-Amz-Algorithm'"},
		"no signature":    {change: func(r *http.Request) { replace(r, "Signature=", "Sig=") }, code: apierr.IncompleteSignature, part: "Authorization header requires 'Signature' parameter. Authorization=AWS4"},
		"no date":         {change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, code: apierr.IncompleteSignature, part: "existence of either a 'X-Amz-Date' or a 'Date' header. "},
		"bad date":        {change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "201") }, code: apierr.IncompleteSignature, part: "Got '201'."},
		"algorithm":       {change: func(r *http.Request) { replace(r, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1") }, code: apierr.IncompleteSignature, part: "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"},
		"credential":      {change: func(r *http.Request) { replace(r, "/aws4_request", "") }, code: apierr.IncompleteSignature, part: "Credential must have exactly 5"},
		"terminator":      {change: func(r *http.Request) { replace(r, "/aws4_request", "/aws5_request") }, code: apierr.InvalidSignature, part: "valid terminator: 'aws4_request', not 'aws5_request'."},
		"scope date":      {change: func(r *http.Request) { replace(r, "/20261123/", "/20261122/") }, code: apierr.InvalidSignature, part: "'20261122' != '20261123', from '20261123T120000Z'."},
		"region":          {sign: signing{region: "us-east-1"}, code: apierr.InvalidSignature, part: "valid region, not 'us-east-1'."},
		"service":         {sign: signing{service: "s3"}, code: apierr.InvalidSignature, part: "Credential should be scoped to correct service: 'dynamodb'."},
		"unknown key":     {sign: signing{accessKey: "AKIDUNKNOWN", secret: "x"}, code: apierr.UnrecognizedClient, part: "The security token included in the request is invalid."},
		"unsigned header": {change: func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") }, code: apierr.InvalidSignature, part: "'X-Amz-Extra' " + mustSign},
		"unsigned host":   {change: func(r *http.Request) { replace(r, "host;", "") }, code: apierr.InvalidSignature, part: "'Host' or ':authority' " + mustSign},
		"token of none":   {sign: signing{token: "t"}, code: apierr.UnrecognizedClient},
		"token missing":   {sign: signing{accessKey: "ASIAEXAMPLE"}, code: apierr.UnrecognizedClient},
		"token wrong":     {sign: signing{accessKey: "ASIAEXAMPLE", token: "t"}, code: apierr.UnrecognizedClient},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := c.sign.received(t)
			if c.change != nil {
				c.change(r)
			}
			_, err := v.Verify(r, body)
			refused(t, err, c.code, c.part)
		})
	}
}

func TestSessionToken(t *testing.T) {
	s := signing{accessKey: "ASIAEXAMPLE", token: store["ASIAEXAMPLE"].SessionToken}
	r, body := s.received(t)
	id, err := verifier(t).Verify(r, body)
	if err != nil || id.Account != "000000000002" {
		t.Fatalf("%+v, %v", id, err)
	}
	s.at = noon.Add(time.Hour)
	r, body = s.received(t)
	_, err = verifier(t, func(c *Config) { c.Now = func() time.Time { return s.at } }).Verify(r, body)
	refused(t, err, apierr.ExpiredToken, "expired")
}

func TestRotatedSecret(t *testing.T) {
	keys := Keys{"K": {Secret: "one"}}
	v := verifier(t, func(c *Config) { c.Keys = keys })
	for _, secret := range []string{"one", "two"} {
		keys["K"] = Credential{Secret: secret}
		r, body := signing{accessKey: "K", secret: secret}.received(t)
		if _, err := v.Verify(r, body); err != nil {
			t.Fatalf("secret %s: %v", secret, err)
		}
	}
	r, body := signing{accessKey: "K", secret: "one"}.received(t)
	if _, err := v.Verify(r, body); err == nil {
		t.Fatal("the old secret still verifies")
	}
}

// TestProxiedHost: a client signed for the public name, the server sees another.
func TestProxiedHost(t *testing.T) {
	r, body := signing{}.received(t)
	r.Host = "abc.lambda-url.eu-west-1.on.aws"
	if _, err := verifier(t).Verify(r, body); err == nil {
		t.Fatal("a foreign host verified")
	}
	v := verifier(t, func(c *Config) { c.Hosts = []string{"db.example.com", "dynamodb.eu-west-1.amazonaws.com"} })
	if _, err := v.Verify(r, body); err != nil {
		t.Fatal(err)
	}
}

// TestContentLengthApart: some servers keep the content length out of the
// headers, though clients sign it.
func TestContentLengthApart(t *testing.T) {
	r, body := signing{body: "{}"}.received(t)
	if !strings.Contains(r.Header.Get("Authorization"), "content-length") {
		t.Fatal("the SDK no longer signs the content length")
	}
	r.Header.Del("Content-Length")
	if _, err := verifier(t).Verify(r, body); err != nil {
		t.Fatal(err)
	}
}

func TestDateHeader(t *testing.T) {
	r := &http.Request{Header: http.Header{"Date": {noon.Format(http.TimeFormat)}}}
	a, _ := parseHeader(r, "AWS4-HMAC-SHA256")
	at, err := parseDate(a.date)
	if err != nil || a.date != "20261123T120000Z" || !at.Equal(noon) {
		t.Fatal(a.date, at, err)
	}
}

func FuzzVerify(f *testing.F) {
	r, _ := signing{body: "{}"}.received(f)
	f.Add(r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), "a=b")
	f.Add("AWS4- Credential=a/b/c/d/e, SignedHeaders=host, Signature=0", "20261123T120000Z", "X-Amz-Algorithm")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature=", "", "%zz")
	v := verifier(f)
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r, body := signing{body: "{}"}.received(t)
		genuine := authorization == r.Header.Get("Authorization")
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.URL.RawQuery = query
		id, err := v.Verify(r, body)
		if err != nil && apierr.Of(err) == nil {
			t.Fatalf("an error that clients cannot see: %v", err)
		}
		if err == nil && !genuine && id.AccessKey != "AKIDEXAMPLE" {
			t.Fatalf("verified as %+v", id)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v := verifier(b)
	r, body := signing{body: strings.Repeat("x", 1024)}.received(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, body); err != nil {
			b.Fatal(err)
		}
	}
}
