package main

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func serveTTRPC(ln net.Listener, conf *tls.Config) {
	s, err := ttrpc.NewServer()
	if err != nil {
		panic(err)
	}
	s.RegisterService("bench", &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"echo": func(_ context.Context, unmarshal func(any) error) (any, error) {
			m := new(wrapperspb.BytesValue)
			return m, unmarshal(m)
		},
	}})
	_ = s.Serve(context.Background(), maybeTLS(ln, conf))
}

// dialTTRPC wraps the bytes in a protobuf message: ttrpc has no raw codec.
func dialTTRPC(addr string, conf *tls.Config) (call, error) {
	c, err := dialTCP(context.Background(), addr, conf)
	if err != nil {
		return nil, err
	}
	client := ttrpc.NewClient(c)
	return func(ctx context.Context, req []byte) ([]byte, error) {
		var answer wrapperspb.BytesValue
		err := client.Call(ctx, "bench", "echo", &wrapperspb.BytesValue{Value: req}, &answer)
		return answer.Value, err
	}, nil
}
