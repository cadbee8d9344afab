package rpc

import (
	"context"
	"fmt"
)

// Handle registers f for method, "Service.Method" by custom; registering it
// twice panics. An error of f crosses as itself when it is, or wraps, an
// *apierr.Error, *regionnode.Stale, *regionnode.NotLeader or a context's error,
// and as RemoteError otherwise. A nil response without an error is answered with
// a zero Resp.
func Handle[Req, Resp any](s *Server, method string, f func(ctx context.Context, req *Req) (*Resp, error)) {
	s.handle(method, func(ctx context.Context, body []byte) ([]byte, error) {
		req := new(Req)
		if err := decode(body, req); err != nil {
			return nil, err
		}
		resp, err := f(ctx, req)
		if err != nil {
			return nil, err
		}
		if resp == nil {
			resp = new(Resp)
		}
		return encode(resp)
	})
}

// HandleRaw is Handle for payloads that stay bytes. f may keep req, which is its
// own; its answer must not change afterwards.
func HandleRaw(s *Server, method string, f func(ctx context.Context, req []byte) ([]byte, error)) {
	s.handle(method, func(ctx context.Context, body []byte) ([]byte, error) {
		resp, err := f(ctx, append([]byte(nil), body...))
		if err != nil || len(resp) >= looseBytes {
			return resp, err
		}
		return append(buffer(len(resp)), resp...), nil // the server pools small answers
	})
}

// HandleOneWay registers f for the one-way messages of method. from is the
// sender's Identity.Node. Messages of one sender arrive in the order in which
// they were sent, some possibly missing; f holds up the ones behind, so it must
// only hand over. It may keep payload.
func HandleOneWay(s *Server, method string, f func(from string, payload []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.oneWays[method]; ok {
		panic(fmt.Sprintf("rpc: %s is handled already", method))
	}
	s.oneWays[method] = f
}

func (s *Server) handle(method string, h rawHandler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.requests[method]; ok {
		panic(fmt.Sprintf("rpc: %s is handled already", method))
	}
	s.requests[method] = h
}

// Call sends req to method at addr and waits for the answer until ctx is done;
// the handler gets ctx's deadline and its cancellation. Errors: see Handle, and
// Unreachable.
func Call[Req, Resp any](ctx context.Context, p *Pool, addr, method string, req *Req) (*Resp, error) {
	body, err := encode(req)
	if err != nil {
		return nil, &Unreachable{addr, false, err}
	}
	answer, err := p.call(ctx, addr, method, body)
	if len(body) < looseBytes {
		release(body)
	}
	if err != nil {
		return nil, err
	}
	defer release(answer)
	resp := new(Resp)
	if err := decode(answer, resp); err != nil {
		return nil, &RemoteError{addr, err.Error()}
	}
	return resp, nil
}
