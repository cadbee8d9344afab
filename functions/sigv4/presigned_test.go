package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"antipode/regionnode/apierr"
)

// presign signs a request in its query with the AWS SDK, for expires seconds
// unless that is empty, and returns it as a server gets it.
func presign(t *testing.T, token, body, expires string) (*http.Request, []byte) {
	t.Helper()
	url := "https://dynamodb.eu-west-1.amazonaws.com/?a=x%20y"
	if expires != "" {
		url += "&X-Amz-Expires=" + expires
	}
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	key := "AKIDEXAMPLE"
	if token != "" {
		key = "ASIAEXAMPLE"
	}
	creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: store[key].Secret, SessionToken: token}
	sum := sha256.Sum256([]byte(body))
	signed, headers, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), "dynamodb", "eu-west-1", noon)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = http.NewRequest(http.MethodPost, signed, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	r.Header = headers
	return transmit(t, r)
}

func TestPresigned(t *testing.T) {
	at := func(d time.Duration) func(*Config) {
		return func(c *Config) { c.Now = func() time.Time { return noon.Add(d) } }
	}
	for name, c := range map[string]struct {
		token, expires string
		now            time.Duration
		change         func(r *http.Request, body []byte)
		part           string // of the refusal; none when empty
	}{
		"plain":            {},
		"session":          {token: "token/with+signs=="},
		"long":             {expires: "3600", now: time.Hour},
		"too old":          {now: 15*time.Minute + time.Second, part: "Signature expired: 20261123T120000Z is now earlier than 20261123T120001Z (20261123T121501Z - 15 min.)"},
		"expired":          {expires: "60", now: 61 * time.Second, part: "Signature expired: 20261123T120000Z is now earlier than 20261123T120001Z (20261123T120101Z - 1 min.)"},
		"more than a week": {expires: "999999", now: 7*24*time.Hour + time.Second, part: "Signature expired"},
		"from the future":  {now: -16 * time.Minute, part: "Signature not yet current"},
		"another body":     {change: func(_ *http.Request, body []byte) { body[0] ^= 1 }, part: "does not match"},
		"another query":    {change: func(r *http.Request, _ []byte) { r.URL.RawQuery += "&b=1" }, part: "does not match"},
		"another expiry": {expires: "60", change: func(r *http.Request, _ []byte) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=60", "Expires=600", 1)
		}, part: "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := presign(t, c.token, `{"TableName":"a"}`, c.expires)
			if c.change != nil {
				c.change(r, body)
			}
			id, err := verifier(t, at(c.now)).Verify(r, body)
			if c.part != "" {
				refused(t, err, apierr.InvalidSignature, c.part)
				return
			}
			if err != nil || id.Region != "eu-west-1" || id.Service != "dynamodb" {
				t.Fatalf("%+v, %v", id, err)
			}
			if claimed, err := Parse(r); err != nil || claimed.Region != "eu-west-1" {
				t.Fatalf("Parse: %+v, %v", claimed, err)
			}
		})
	}
}
