package rpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Protocol versions that this code speaks. A connection uses the lower of both
// sides' newest, which neither side's oldest may exceed.
const (
	protocolNewest = 1
	protocolOldest = 1
)

// maxHello bounds the first frame, read from whoever connects.
const maxHello = 8 << 10

// hello is the first frame in each direction. Refusal, in the server's, says why
// it is closing.
type hello struct {
	Identity `msgpack:",inline"`
	Newest   uint32 `msgpack:"v"`
	Oldest   uint32 `msgpack:"o"`
	Clock    []byte `msgpack:"t,omitempty"`
	Refusal  string `msgpack:"x,omitempty"`
}

func newHello(cfg *Config) hello {
	return hello{Identity: cfg.Self, Newest: protocolNewest, Oldest: protocolOldest, Clock: cfg.Clock()}
}

// clientHandshake makes conn a connection to be used: TLS, then hellos. After an
// error the caller closes conn.
func clientHandshake(ctx context.Context, cfg *Config, addr string, conn net.Conn) (net.Conn, *bufio.Reader, Identity, error) {
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	conn, err := clientTLS(ctx, cfg.TLS, addr, conn)
	if err != nil {
		return nil, nil, Identity{}, err
	}
	if err := writeHello(conn, newHello(cfg)); err != nil {
		return nil, nil, Identity{}, err
	}
	r := bufio.NewReaderSize(conn, readBuffer)
	h, err := readHello(r)
	if err != nil {
		return nil, nil, Identity{}, err
	}
	if h.Refusal != "" {
		return nil, nil, Identity{}, fmt.Errorf("refused: %s", h.Refusal)
	}
	if err := accept(cfg, conn, h); err != nil {
		return nil, nil, Identity{}, err
	}
	if !stop() {
		return nil, nil, Identity{}, ctx.Err()
	}
	return conn, r, h.Identity, nil
}

// serverHandshake answers a hello, or refuses it with a reason.
func serverHandshake(cfg *Config, conn net.Conn) (*bufio.Reader, Identity, error) {
	if err := conn.SetDeadline(time.Now().Add(cfg.DialTimeout)); err != nil {
		return nil, Identity{}, err
	}
	r := bufio.NewReaderSize(conn, readBuffer)
	h, err := readHello(r)
	if err != nil {
		return nil, Identity{}, err
	}
	answer := newHello(cfg)
	refusal := accept(cfg, conn, h)
	if refusal != nil {
		answer = hello{Newest: protocolNewest, Oldest: protocolOldest, Refusal: refusal.Error()}
	}
	if err := errors.Join(refusal, writeHello(conn, answer)); err != nil {
		return nil, Identity{}, err
	}
	return r, h.Identity, conn.SetDeadline(time.Time{})
}

// accept decides over a peer's hello.
func accept(cfg *Config, conn net.Conn, h hello) error {
	if h.Newest < protocolOldest || h.Oldest > protocolNewest {
		return fmt.Errorf("protocol %d to %d, here %d to %d", h.Oldest, h.Newest, protocolOldest, protocolNewest)
	}
	if own := cfg.Self.Cluster; own != "" && h.Cluster != "" && own != h.Cluster {
		return fmt.Errorf("cluster %q, here %q", h.Cluster, own)
	}
	if secure, ok := conn.(*tls.Conn); ok {
		if err := checkCertificate(secure.ConnectionState(), h.Identity); err != nil {
			return err
		}
	}
	if err := cfg.Observe(h.Identity, h.Clock); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}

func writeHello(w io.Writer, h hello) error {
	body, err := encode(&h)
	if err != nil {
		return err
	}
	defer release(body)
	b := append([]byte(nil), magic...)
	b = appendHeader(b, header{size: uint32(len(body)), kind: kindHello})
	if _, err := w.Write(append(b, body...)); err != nil {
		return fmt.Errorf("write hello: %w", err)
	}
	return nil
}

func readHello(r *bufio.Reader) (hello, error) {
	var h hello
	start, err := r.Peek(len(magic))
	if err != nil {
		return h, fmt.Errorf("read hello: %w", err)
	}
	if string(start) != magic {
		return h, fmt.Errorf("not antipode's protocol: %q", start)
	}
	if _, err := r.Discard(len(magic)); err != nil {
		return h, err
	}
	head, err := readHeader(r)
	if err != nil {
		return h, fmt.Errorf("read hello: %w", err)
	}
	if head.kind != kindHello {
		return h, fmt.Errorf("frame of kind %d where a hello belongs", head.kind)
	}
	body, err := readPayload(r, head, maxHello)
	if err != nil {
		return h, err
	}
	defer release(body)
	return h, decode(body, &h)
}
