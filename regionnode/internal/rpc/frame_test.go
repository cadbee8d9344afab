package rpc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := rapid.Uint64().Draw(t, "timeout")
		method := rapid.String().Draw(t, "method")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		id := rapid.Uint64().Draw(t, "id")

		payload := append(appendRequestHead(nil, timeout, method), body...)
		wire := append(appendHeader(nil, header{uint32(len(payload)), kindRequest, id}), payload...)
		r := bufio.NewReader(bytes.NewReader(wire))
		h, err := readHeader(r)
		if err != nil || h != (header{uint32(len(payload)), kindRequest, id}) {
			t.Fatalf("header %+v, %v", h, err)
		}
		got, err := readPayload(r, h, len(payload))
		if err != nil {
			t.Fatal(err)
		}
		gotTimeout, gotMethod, gotBody, ok := cutRequest(got)
		if !ok || gotTimeout != timeout || string(gotMethod) != method || !bytes.Equal(gotBody, body) {
			t.Fatalf("request %d %q %q %v", gotTimeout, gotMethod, gotBody, ok)
		}
		if _, err := readHeader(r); !errors.Is(err, io.EOF) {
			t.Fatalf("behind it: %v", err)
		}
		release(got)
	})
}

func TestFrameEndsEarly(t *testing.T) {
	wire := append(appendHeader(nil, header{4, kindReply, 1}), "abcd"...)
	for n := range wire {
		r := bufio.NewReader(bytes.NewReader(wire[:n]))
		h, err := readHeader(r)
		if err == nil {
			_, err = readPayload(r, h, 4)
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	r := bufio.NewReader(bytes.NewReader(wire))
	h, _ := readHeader(r)
	if _, err := readPayload(r, h, 3); err == nil {
		t.Error("a payload over the limit was read")
	}
}

// FuzzPayloads feeds what a peer may send to everything that takes it apart.
func FuzzPayloads(f *testing.F) {
	f.Add(appendRequestHead(nil, 1, "Data.Get"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if timeout, method, body, ok := cutRequest(b); ok {
			again := append(appendRequestHead(nil, timeout, string(method)), body...)
			if len(again) > len(b) {
				t.Errorf("%x became %x", b, again)
			}
		}
		if h, err := readHello(bufio.NewReader(bytes.NewReader(b))); err == nil && len(h.Cluster) > len(b) {
			t.Errorf("%x became %+v", b, h)
		}
		var e wireError
		if decode(b, &e) == nil && fromWire("addr", e) == nil {
			t.Errorf("%x is no error", b)
		}
	})
}

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 1 << 16, 1<<16 + 1} {
		b := buffer(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("buffer(%d): %d of %d", n, len(b), cap(b))
		}
		release(append(b, make([]byte, n)...))
	}
	release(nil)
	release(make([]byte, 600)) // of odd capacity: serves only smaller requests
	for range 10 {
		if b := buffer(1024); cap(b) < 1024 {
			t.Errorf("buffer(1024) has %d", cap(b))
		}
	}
}
