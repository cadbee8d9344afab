package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// framed is the floor that libraries are measured against: length, id, bytes;
// many calls on one connection, and one flush for all that wait.

type framedWriter struct {
	mu   sync.Mutex
	buf  []byte
	next []byte
	wake chan struct{}
	conn net.Conn
}

func newFramedWriter(c net.Conn) *framedWriter {
	w := &framedWriter{wake: make(chan struct{}, 1), conn: c}
	go w.run()
	return w
}

func (w *framedWriter) run() {
	for range w.wake {
		w.mu.Lock()
		out := w.buf
		w.buf, w.next = w.next[:0], nil
		w.mu.Unlock()
		if _, err := w.conn.Write(out); err != nil {
			w.conn.Close()
			return
		}
		w.mu.Lock()
		w.next = out[:0]
		w.mu.Unlock()
	}
}

func (w *framedWriter) send(id uint64, p []byte) {
	w.mu.Lock()
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(p)))
	w.buf = binary.BigEndian.AppendUint64(w.buf, id)
	w.buf = append(w.buf, p...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func readFrame(r *bufio.Reader) (uint64, []byte, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	p := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r, p)
	return binary.BigEndian.Uint64(head[4:]), p, err
}

func serveFramed(ln net.Listener, conf *tls.Config) {
	ln = maybeTLS(ln, conf)
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			r, w := bufio.NewReaderSize(c, 64<<10), newFramedWriter(c)
			for {
				id, p, err := readFrame(r)
				if err != nil {
					return
				}
				go w.send(id, p)
			}
		}()
	}
}

func dialFramed(addr string, conf *tls.Config) (call, error) {
	c, err := dialTCP(context.Background(), addr, conf)
	if err != nil {
		return nil, err
	}
	var (
		mu      sync.Mutex
		last    uint64
		waiting = map[uint64]chan []byte{}
		w       = newFramedWriter(c)
	)
	go func() {
		r := bufio.NewReaderSize(c, 64<<10)
		for {
			id, p, err := readFrame(r)
			if err != nil {
				return
			}
			mu.Lock()
			ch := waiting[id]
			delete(waiting, id)
			mu.Unlock()
			ch <- p
		}
	}()
	return func(ctx context.Context, req []byte) ([]byte, error) {
		ch := make(chan []byte, 1)
		mu.Lock()
		last++
		id := last
		waiting[id] = ch
		mu.Unlock()
		w.send(id, req)
		select {
		case p := <-ch:
			return p, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil
}

func maybeTLS(ln net.Listener, conf *tls.Config) net.Listener {
	if conf == nil {
		return ln
	}
	return tls.NewListener(ln, conf)
}

func dialTCP(ctx context.Context, addr string, conf *tls.Config) (net.Conn, error) {
	if conf == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
}
