package functions

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

// statementToken is what a NextToken says: how far a SELECT has come. Its text
// form is bound to the statement and its parameters by a digest, and good in
// every region.
type statementToken struct {
	run   int    // of the read's runs; 0 for a scan
	after []byte // full key to continue behind; nil to start the run
}

const (
	tokenVersion = 1
	tokenDigest  = 16 // bytes of the digest that a token carries
)

// digest binds a token to the request.
func (t *statementToken) digest(in *wire.ExecuteStatementInput) []byte {
	h := sha256.New()
	part := func(b []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(b)))) // a hash does not fail
		_, _ = h.Write(b)
	}
	part([]byte(in.Statement.Value))
	for _, p := range in.Parameters {
		part(p.AppendEncoded(nil))
	}
	part(binary.AppendUvarint(nil, uint64(t.run)))
	part(t.after)
	return h.Sum(nil)[:tokenDigest]
}

func (t *statementToken) encode(in *wire.ExecuteStatementInput) string {
	b := append([]byte{tokenVersion}, t.digest(in)...)
	b = binary.AppendUvarint(b, uint64(t.run))
	return base64.StdEncoding.EncodeToString(append(b, t.after...))
}

// decodeToken reads NextToken; without one a SELECT starts at the beginning.
func decodeToken(in *wire.ExecuteStatementInput) (*statementToken, error) {
	t := new(statementToken)
	if !in.NextToken.Set {
		return t, nil
	}
	b, err := base64.StdEncoding.DecodeString(in.NextToken.Value)
	if err != nil || len(b) <= 1+tokenDigest || b[0] != tokenVersion {
		return nil, errToken()
	}
	run, n := binary.Uvarint(b[1+tokenDigest:])
	if n <= 0 || run > 1<<16 {
		return nil, errToken()
	}
	t.run = int(run)
	if after := b[1+tokenDigest+n:]; len(after) > 0 {
		t.after = after
	}
	if !bytes.Equal(t.digest(in), b[1:1+tokenDigest]) {
		return nil, errForeignToken()
	}
	return t, nil
}

func errToken() error { return apierr.Invalid("Invalid NextToken") }

func errForeignToken() error { return apierr.Invalid("NextToken does not match request") }
