package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// uriScheme is that of the SAN URI which makes a certificate one of antipode's.
const uriScheme = "antipode"

// URI is the SAN URI of a certificate for id: antipode://cluster/region/node. A
// certificate without a node stands for every node of its region.
func (id Identity) URI() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: id.Cluster, Path: "/" + id.Region + "/" + id.Node}
}

// identityOf reads the one antipode URI of a certificate.
func identityOf(cert *x509.Certificate) (Identity, error) {
	var found *url.URL
	for _, u := range cert.URIs {
		if u.Scheme != uriScheme {
			continue
		}
		if found != nil {
			return Identity{}, errors.New("certificate with more than one antipode identity")
		}
		found = u
	}
	if found == nil {
		return Identity{}, errors.New("certificate without an antipode identity")
	}
	region, node, _ := strings.Cut(strings.TrimPrefix(found.Path, "/"), "/")
	if found.Host == "" || region == "" || strings.Contains(node, "/") {
		return Identity{}, fmt.Errorf("certificate identity %q: want antipode://cluster/region/node", found)
	}
	return Identity{found.Host, region, node}, nil
}

// checkCertificate holds what a peer says against what its certificate proves.
// Certificates that are not antipode's prove nothing and forbid nothing: whoever
// set up such a tls.Config decides by it alone.
func checkCertificate(state tls.ConnectionState, says Identity) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	if !slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.Scheme == uriScheme }) {
		return nil
	}
	proven, err := identityOf(leaf)
	if err != nil {
		return err
	}
	if says.Cluster == "" {
		says.Cluster = proven.Cluster // not known yet; the certificate knows
	}
	if says.Cluster != proven.Cluster || says.Region != proven.Region || proven.Node != "" && says.Node != proven.Node {
		return fmt.Errorf("says it is %s, its certificate %s", says.URI(), proven.URI())
	}
	return nil
}

// CertificateFiles names PEM files. CA may hold several roots, for rotation.
type CertificateFiles struct {
	CA, Cert, Key string
	// Regions whose peers are accepted; nil for all of the cluster.
	Regions []string
	// Log may be nil.
	Log *slog.Logger
	// Now may be nil; Reload is how often the files are looked at, 0 is 10 s.
	Now    func() time.Time
	Reload time.Duration
}

// Certificates is a process's own certificate and the roots it trusts, read
// anew when the files change: connections made from then on use them.
type Certificates struct {
	files CertificateFiles

	mu      sync.Mutex
	loaded  loadedCertificates
	stamp   string // the files' sizes and times
	checked time.Time
}

type loadedCertificates struct {
	pair  tls.Certificate
	roots *x509.CertPool
	self  Identity
}

// LoadCertificates reads the files and the identity in the certificate.
func LoadCertificates(files CertificateFiles) (*Certificates, error) {
	if files.Now == nil {
		files.Now = time.Now
	}
	if files.Log == nil {
		files.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&files.Reload, 10*time.Second)
	c := &Certificates{files: files, stamp: stampOf(files), checked: files.Now()}
	var err error
	if c.loaded, err = load(files); err != nil {
		return nil, err
	}
	return c, nil
}

func load(files CertificateFiles) (loadedCertificates, error) {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return loadedCertificates{}, fmt.Errorf("load certificate: %w", err)
	}
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		return loadedCertificates{}, fmt.Errorf("load roots: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return loadedCertificates{}, fmt.Errorf("load roots: no certificate in %s", files.CA)
	}
	self, err := identityOf(pair.Leaf)
	if err != nil {
		return loadedCertificates{}, fmt.Errorf("%s: %w", files.Cert, err)
	}
	return loadedCertificates{pair, roots, self}, nil
}

// stampOf changes when one of the files does.
func stampOf(files CertificateFiles) string {
	var b strings.Builder
	for _, name := range []string{files.CA, files.Cert, files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%v;", err)
			continue
		}
		fmt.Fprintf(&b, "%d %d;", info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

// current reloads when it is time; files that do not load leave the old ones in
// force, because they are often in the middle of being replaced.
func (c *Certificates) current() loadedCertificates {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.files.Now()
	if now.Sub(c.checked) < c.files.Reload {
		return c.loaded
	}
	c.checked = now
	stamp := stampOf(c.files)
	if stamp == c.stamp {
		return c.loaded
	}
	fresh, err := load(c.files)
	if err == nil && fresh.self != c.loaded.self {
		err = fmt.Errorf("identity %s instead of %s", fresh.self.URI(), c.loaded.self.URI())
	}
	if err != nil {
		c.files.Log.Error("rpc: reload certificates", "err", err)
		return c.loaded
	}
	c.loaded, c.stamp = fresh, stamp
	c.files.Log.Info("rpc: certificates reloaded", "cert", c.files.Cert)
	return c.loaded
}

// Self is the identity in the certificate.
func (c *Certificates) Self() Identity { return c.current().self }

// Server is the TLS configuration of a server: TLS 1.3, and only peers with a
// certificate of the same cluster.
func (c *Certificates) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAnyClientCert, // VerifyConnection verifies it, against the newest roots
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair := c.current().pair
			return &pair, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verify(state, x509.ExtKeyUsageClientAuth)
		},
	}
}

// Client is the TLS configuration of a pool. A server is known by the identity
// in its certificate, not by its address: nodes move.
func (c *Certificates) Client() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection verifies, against the newest roots
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair := c.current().pair
			return &pair, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verify(state, x509.ExtKeyUsageServerAuth)
		},
	}
}

func (c *Certificates) verify(state tls.ConnectionState, usage x509.ExtKeyUsage) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("peer without a certificate")
	}
	own := c.current()
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: own.roots, Intermediates: between, CurrentTime: c.files.Now(), KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return fmt.Errorf("verify certificate: %w", err)
	}
	peer, err := identityOf(leaf)
	if err != nil {
		return err
	}
	if peer.Cluster != own.self.Cluster {
		return fmt.Errorf("certificate of cluster %q, here %q", peer.Cluster, own.self.Cluster)
	}
	if c.files.Regions != nil && !slices.Contains(c.files.Regions, peer.Region) {
		return fmt.Errorf("certificate of region %q: not accepted here", peer.Region)
	}
	return nil
}

// clientTLS wraps conn in TLS when conf is set.
func clientTLS(ctx context.Context, conf *tls.Config, addr string, conn net.Conn) (net.Conn, error) {
	if conf == nil {
		return conn, nil
	}
	if conf.ServerName == "" && !conf.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("server name of %q: %w", addr, err)
		}
		conf = conf.Clone()
		conf.ServerName = host
	}
	secure := tls.Client(conn, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return secure, nil
}
