package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"

	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcpool"
	"storj.io/drpc/drpcserver"
)

// raw passes bytes through drpc and grpc unchanged.
type raw struct{ b []byte }

type drpcRaw struct{}

func (drpcRaw) Marshal(m drpc.Message) ([]byte, error) { return m.(*raw).b, nil }
func (drpcRaw) Unmarshal(buf []byte, m drpc.Message) error {
	m.(*raw).b = append([]byte(nil), buf...)
	return nil
}

type drpcEcho struct{}

func (drpcEcho) HandleRPC(s drpc.Stream, rpc string) error {
	if rpc == "/stream" {
		return echoStream(s)
	}
	var m raw
	if err := s.MsgRecv(&m, drpcRaw{}); err != nil {
		return err
	}
	return s.MsgSend(&m, drpcRaw{})
}

func serveDRPC(ln net.Listener, conf *tls.Config) {
	_ = drpcserver.NewWithOptions(drpcEcho{}, drpcserver.Options{}).Serve(context.Background(), maybeTLS(ln, conf))
}

// dialDRPC pools connections, because one carries one call at a time.
func dialDRPC(addr string, conf *tls.Config) (call, error) {
	pool := drpcpool.New[string, drpcpool.Conn](drpcpool.Options{Capacity: 256, KeyCapacity: 256})
	conn := pool.Get(context.Background(), addr, func(ctx context.Context, addr string) (drpcpool.Conn, error) {
		c, err := dialTCP(ctx, addr, conf)
		if err != nil {
			return nil, err
		}
		return drpcconn.NewWithOptions(c, drpcconn.Options{Manager: drpcmanager.Options{SoftCancel: true}}), nil
	})
	return func(ctx context.Context, req []byte) ([]byte, error) {
		var answer raw
		err := conn.Invoke(ctx, "/echo", drpcRaw{}, &raw{req}, &answer)
		return answer.b, err
	}, nil
}

// The -stream candidates multiplex calls by hand inside one bidirectional
// stream: eight bytes of id before each message.

func echoStream(s drpc.Stream) error {
	for {
		var m raw
		if err := s.MsgRecv(&m, drpcRaw{}); err != nil {
			return err
		}
		go func() { _ = s.MsgSend(&m, drpcRaw{}) }()
	}
}

func serveDRPCStream(ln net.Listener, conf *tls.Config) { serveDRPC(ln, conf) }

func dialDRPCStream(addr string, conf *tls.Config) (call, error) {
	c, err := dialTCP(context.Background(), addr, conf)
	if err != nil {
		return nil, err
	}
	s, err := drpcconn.New(c).NewStream(context.Background(), "/stream", drpcRaw{})
	if err != nil {
		return nil, err
	}
	return multiplex(
		func(b []byte) error { return s.MsgSend(&raw{b}, drpcRaw{}) },
		func() ([]byte, error) {
			var m raw
			err := s.MsgRecv(&m, drpcRaw{})
			return m.b, err
		}), nil
}

func multiplex(send func([]byte) error, receive func() ([]byte, error)) call {
	var (
		mu      sync.Mutex
		writing sync.Mutex
		last    uint64
		waiting = map[uint64]chan []byte{}
	)
	go func() {
		for {
			p, err := receive()
			if err != nil {
				return
			}
			id := binary.BigEndian.Uint64(p)
			mu.Lock()
			ch := waiting[id]
			delete(waiting, id)
			mu.Unlock()
			ch <- p[8:]
		}
	}()
	return func(ctx context.Context, req []byte) ([]byte, error) {
		ch := make(chan []byte, 1)
		mu.Lock()
		last++
		id := last
		waiting[id] = ch
		mu.Unlock()
		p := append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(req)), id), req...)
		writing.Lock()
		err := send(p)
		writing.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case p := <-ch:
			return p, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
