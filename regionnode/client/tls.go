package client

import (
	"errors"

	"antipode/regionnode/internal/rpc"
)

// LoadTLS secures rpc with PEM files; all three or none must be named. The
// files are read again when they change.
func (c *Config) LoadTLS(cert, key, roots string) error {
	if cert == "" && key == "" && roots == "" {
		return nil
	}
	if cert == "" || key == "" || roots == "" {
		return errors.New("TLS needs a certificate, its key and the authorities: name all three or none")
	}
	certificates, err := rpc.LoadCertificates(rpc.CertificateFiles{Cert: cert, Key: key, CA: roots, Log: c.Log})
	if err != nil {
		return err
	}
	c.TLS = certificates.Client()
	return nil
}
