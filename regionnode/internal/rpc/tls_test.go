package rpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a CA of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes a certificate for uris, and a as the root, into dir.
func (a *authority) issue(dir string, change func(*x509.Certificate), uris ...string) CertificateFiles {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	files := CertificateFiles{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for name, content := range map[string][]byte{
		files.CA:   a.pem,
		files.Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		files.Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return files
}

func mustLoad(t *testing.T, files CertificateFiles) *Certificates {
	t.Helper()
	files.Log = testLog(t)
	c, err := LoadCertificates(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func echoOnce(t *testing.T, p *Pool, addr string) error {
	_, err := Call[echo, echo](within(t), p, addr, "Echo", &echo{Bytes: make([]byte, 100<<10)})
	return err
}

func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t, "ours")
	server := mustLoad(t, ca.issue(t.TempDir(), nil, "antipode://c/eu-west-1/1"))
	_, addr := serve(t, Config{Self: server.Self(), TLS: server.Server()})
	if got := server.Self(); got != (Identity{"c", "eu-west-1", "1"}) {
		t.Errorf("identity is %+v", got)
	}
	onlyServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	self := Identity{"c", "us-east-1", "2"}
	for name, c := range map[string]struct {
		ca     *authority
		change func(*x509.Certificate)
		uris   []string
		self   Identity
		why    string // empty: accepted
	}{
		"right":            {ca, nil, []string{"antipode://c/us-east-1/2"}, self, ""},
		"cluster not said": {ca, nil, []string{"antipode://c/us-east-1/2"}, Identity{"", "us-east-1", "2"}, ""},
		"any of a region":  {ca, nil, []string{"antipode://c/us-east-1/"}, self, ""},
		"other CA":         {newAuthority(t, "theirs"), nil, []string{"antipode://c/us-east-1/2"}, self, "certificate"},
		"other cluster":    {ca, nil, []string{"antipode://d/us-east-1/2"}, Identity{"d", "us-east-1", "2"}, "certificate of cluster"},
		"false cluster":    {ca, nil, []string{"antipode://c/us-east-1/2"}, Identity{"d", "us-east-1", "2"}, "cluster"},
		"false region":     {ca, nil, []string{"antipode://c/us-east-1/2"}, Identity{"c", "eu-west-1", "2"}, "says it is"},
		"false node":       {ca, nil, []string{"antipode://c/us-east-1/2"}, Identity{"c", "us-east-1", "3"}, "says it is"},
		"no client":        {ca, onlyServers, []string{"antipode://c/us-east-1/2"}, self, "certificate"},
		"expired":          {ca, expired, []string{"antipode://c/us-east-1/2"}, self, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			files := c.ca.issue(t.TempDir(), c.change, c.uris...)
			if err := os.WriteFile(files.CA, ca.pem, 0o600); err != nil { // it trusts the server in any case
				t.Fatal(err)
			}
			conf := mustLoad(t, files).Client()
			if name == "other cluster" {
				conf.VerifyConnection = nil // that it is refused is the server's doing
			}
			err := echoOnce(t, dial(t, Config{Self: c.self, TLS: conf}), addr)
			if (err == nil) != (c.why == "") || err != nil && !NotExecuted(err) {
				t.Errorf("got %v", err)
			}
			// TLS itself tells a client only that its certificate is bad.
			if err != nil && !strings.Contains(err.Error(), c.why) && !strings.Contains(err.Error(), "bad certificate") {
				t.Errorf("got %v, want %q", err, c.why)
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		if err := echoOnce(t, dial(t, Config{}), addr); !NotExecuted(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("regions", func(t *testing.T) {
		files := ca.issue(t.TempDir(), nil, "antipode://c/us-east-1/2")
		files.Regions = []string{"us-east-1", "us-west-2"}
		err := echoOnce(t, dial(t, Config{Self: self, TLS: mustLoad(t, files).Client()}), addr)
		if err == nil || !strings.Contains(err.Error(), `region "eu-west-1"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestServerImpostors(t *testing.T) {
	ca := newAuthority(t, "ours")
	client := mustLoad(t, ca.issue(t.TempDir(), nil, "antipode://c/us-east-1/2"))
	other := newAuthority(t, "theirs")
	files := other.issue(t.TempDir(), nil, "antipode://c/eu-west-1/1")
	if err := os.WriteFile(files.CA, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files CertificateFiles
		self  Identity
	}{
		"other CA":      {files, Identity{"c", "eu-west-1", "1"}},
		"other cluster": {ca.issue(t.TempDir(), nil, "antipode://d/eu-west-1/1"), Identity{"d", "eu-west-1", "1"}},
		"false node":    {ca.issue(t.TempDir(), nil, "antipode://c/eu-west-1/1"), Identity{"c", "eu-west-1", "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := mustLoad(t, c.files).Server()
			conf.VerifyConnection = nil // it would let any client in
			_, addr := serve(t, Config{Self: c.self, TLS: conf})
			if err := echoOnce(t, dial(t, Config{Self: client.Self(), TLS: client.Client()}), addr); !NotExecuted(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCertificatesReload(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	serverDir, clientDir := t.TempDir(), t.TempDir()
	now := time.Now()
	clock := func() time.Time { return now }
	reloading := func(files CertificateFiles) *Certificates {
		files.Now = clock
		return mustLoad(t, files)
	}
	server := reloading(first.issue(serverDir, nil, "antipode://c/eu-west-1/1"))
	client := reloading(first.issue(clientDir, nil, "antipode://c/us-east-1/2"))
	_, addr := serve(t, Config{Self: server.Self(), TLS: server.Server()})
	call := func() error {
		return echoOnce(t, dial(t, Config{Self: client.Self(), TLS: client.Client()}), addr)
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	files := second.issue(serverDir, nil, "antipode://c/eu-west-1/1")
	if err := call(); err != nil {
		t.Errorf("before it is time to look: %v", err)
	}
	now = now.Add(time.Minute)
	if err := call(); err == nil {
		t.Error("the client trusts a root that it does not know")
	}
	second.issue(clientDir, nil, "antipode://c/us-east-1/2")
	now = now.Add(time.Minute)
	if err := call(); err != nil {
		t.Errorf("both replaced: %v", err)
	}
	if err := os.WriteFile(files.Key, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if err := call(); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
	second.issue(serverDir, nil, "antipode://c/ap-south-1/1")
	now = now.Add(time.Minute)
	if server.Self().Region != "eu-west-1" {
		t.Error("a reload changed the identity")
	}
}

func TestCertificatesMustNameOneIdentity(t *testing.T) {
	ca := newAuthority(t, "ours")
	for name, uris := range map[string][]string{
		"none":      nil,
		"other":     {"spiffe://c/eu-west-1/1"},
		"two":       {"antipode://c/eu-west-1/1", "antipode://c/eu-west-1/2"},
		"no region": {"antipode://c"},
		"deep":      {"antipode://c/eu-west-1/1/2"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadCertificates(ca.issue(t.TempDir(), nil, uris...)); err == nil {
				t.Error("loaded")
			}
		})
	}
	if _, err := LoadCertificates(CertificateFiles{CA: "no", Cert: "such", Key: "file"}); err == nil {
		t.Error("loaded nothing")
	}
}

// TestDialTimeoutCoversTheHandshake has a server that accepts and says nothing.
func TestDialTimeoutCoversTheHandshake(t *testing.T) {
	ca := newAuthority(t, "ours")
	client := mustLoad(t, ca.issue(t.TempDir(), nil, "antipode://c/us-east-1/2"))
	_, addr := mute(t)
	for name, cfg := range map[string]Config{
		"plain": {DialTimeout: 20 * time.Millisecond},
		"tls":   {DialTimeout: 20 * time.Millisecond, TLS: client.Client()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Call[echo, echo](context.Background(), dial(t, cfg), addr, "Echo", &echo{})
			if !NotExecuted(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
