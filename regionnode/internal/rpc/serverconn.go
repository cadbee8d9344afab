package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// serverConn is a server's end of one connection.
type serverConn struct {
	s    *Server
	conn net.Conn
	peer Identity

	mu      sync.Mutex
	w       *writer // nil until the handshake is over
	away    bool    // new requests are refused
	cancels map[uint64]context.CancelFunc
	calls   sync.WaitGroup
}

// peerKey finds the peer's Identity in a handler's context.
type peerKey struct{}

// Peer is who called, in a handler's context.
func Peer(ctx context.Context) Identity {
	id, _ := ctx.Value(peerKey{}).(Identity)
	return id
}

func (c *serverConn) serve() {
	defer c.conn.Close()
	r, peer, err := serverHandshake(&c.s.cfg, c.conn)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			c.s.cfg.Log.Warn("rpc: handshake", "from", c.conn.RemoteAddr(), "err", err)
		}
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(c.s.ctx, peerKey{}, peer))
	defer cancel()
	w := newWriter(c.conn, &c.s.cfg)
	c.s.running.Go(w.run)
	c.mu.Lock()
	c.peer, c.w = peer, w
	if c.away { // said before there was a writer
		w.force(frame{kind: kindGoAway})
	}
	c.mu.Unlock()
	err = c.read(ctx, r)
	w.fail(err)
	cancel()
	c.calls.Wait()
}

func (c *serverConn) read(ctx context.Context, r *bufio.Reader) error {
	for {
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		if h.kind == kindRequest && !c.s.admit(int(h.size)) {
			if err := c.skip(r, h); err != nil {
				return err
			}
			continue
		}
		body, err := readPayload(r, h, c.s.cfg.MaxMessage)
		if err != nil {
			if h.kind == kindRequest {
				c.s.leave(int(h.size))
			}
			return err
		}
		c.handle(ctx, h, body)
	}
}

// skip refuses a request for which there is no room.
func (c *serverConn) skip(r *bufio.Reader, h header) error {
	c.refuse(h.id, "overloaded")
	_, err := io.CopyN(io.Discard, r, int64(h.size))
	return err
}

func (c *serverConn) refuse(id uint64, why string) {
	c.answer(frame{kind: kindRefuse, id: id, body: []byte(why)})
}

func (c *serverConn) handle(ctx context.Context, h header, body []byte) {
	switch h.kind {
	case kindRequest:
		c.request(ctx, h.id, body)
		return
	case kindOneWay:
		if method, payload, ok := cutMethod(body); ok {
			if f := c.s.oneWay(method); f != nil {
				c.s.runOneWay(method, f, c.peer.Node, append([]byte(nil), payload...))
			}
		}
	case kindCancel:
		c.mu.Lock()
		cancel := c.cancels[h.id]
		c.mu.Unlock()
		if cancel != nil {
			cancel()
		}
	case kindPing:
		c.answer(frame{kind: kindPong, id: h.id})
	}
	release(body)
}

// request starts a request that was admitted.
func (c *serverConn) request(ctx context.Context, id uint64, payload []byte) {
	timeout, name, body, ok := cutRequest(payload)
	h := c.s.request(name)
	switch {
	case !ok:
		c.refuse(id, "malformed request")
	case h == nil:
		c.refuse(id, "no method "+string(name))
	case !c.begin(ctx, id, timeout, string(name), h, payload, body):
		c.refuse(id, "shutting down")
	default:
		return
	}
	c.s.leave(len(payload))
	release(payload)
}

// begin runs the handler in a goroutine, unless the connection is going away.
func (c *serverConn) begin(ctx context.Context, id, timeout uint64, method string, h rawHandler, payload, body []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return false
	}
	var cancel context.CancelFunc
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Microsecond)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	c.cancels[id] = cancel
	c.calls.Add(1)
	go func() {
		defer c.calls.Done()
		answer, err := c.s.run(ctx, method, h, body)
		size := len(payload)
		release(payload)
		c.mu.Lock()
		delete(c.cancels, id)
		c.mu.Unlock()
		cancel()
		c.reply(method, id, answer, err)
		c.s.leave(size)
	}()
	return true
}

func (c *serverConn) reply(method string, id uint64, answer []byte, err error) {
	f := frame{kind: kindReply, id: id, body: answer}
	if err == nil && len(answer) > c.s.cfg.MaxMessage {
		err = errTooLarge
	}
	if err != nil {
		e := toWire(err)
		if e.Kind == errorRemote {
			c.s.cfg.Log.Warn("rpc: call failed", "method", method, "from", c.peer.Node, "err", err)
		}
		f.kind = kindError
		if f.body, err = encode(&e); err != nil {
			f.body, _ = encode(&wireError{Kind: errorRemote, Message: err.Error()})
		}
	}
	c.answer(f)
	if !f.loose() {
		release(f.body)
	}
}

// answer queues f. A peer that does not read its answers is made to wait with
// its next requests, until the writer's timeout ends the connection.
func (c *serverConn) answer(f frame) {
	_, _ = c.w.push(context.Background(), f)
}

// goAway makes the connection refuse new requests, and tells the caller, who
// takes another connection.
func (c *serverConn) goAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	if c.w != nil {
		c.w.force(frame{kind: kindGoAway})
	}
}

// drain waits until the requests under way have been answered.
func (c *serverConn) drain(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		c.calls.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	w := c.w
	c.mu.Unlock()
	if w == nil {
		return nil
	}
	if err := w.flush(ctx); ctx.Err() != nil {
		return err
	}
	return nil // a connection that is dead needs no answers
}
