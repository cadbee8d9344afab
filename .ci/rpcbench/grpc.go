package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

type grpcRaw struct{}

func (grpcRaw) Name() string { return "raw" }

func (grpcRaw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*raw).b)}, nil
}

func (grpcRaw) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*raw).b = data.Materialize()
	return nil
}

var grpcService = grpc.ServiceDesc{
	ServiceName: "bench",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "echo",
		Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(raw)
			return m, dec(m)
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "stream", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			var mu sync.Mutex
			for {
				m := new(raw)
				if err := s.RecvMsg(m); err != nil {
					return err
				}
				go func() {
					mu.Lock()
					defer mu.Unlock()
					_ = s.SendMsg(m)
				}()
			}
		},
	}},
}

func serveGRPC(ln net.Listener, conf *tls.Config) {
	opts := []grpc.ServerOption{grpc.ForceServerCodecV2(grpcRaw{})}
	if conf != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(conf)))
	}
	s := grpc.NewServer(opts...)
	s.RegisterService(&grpcService, struct{}{})
	_ = s.Serve(ln)
}

func grpcConn(addr string, conf *tls.Config) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if conf != nil {
		creds = credentials.NewTLS(conf)
	}
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(grpcRaw{})))
}

func dialGRPC(addr string, conf *tls.Config) (call, error) {
	c, err := grpcConn(addr, conf)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, req []byte) ([]byte, error) {
		var answer raw
		err := c.Invoke(ctx, "/bench/echo", &raw{req}, &answer)
		return answer.b, err
	}, nil
}

func serveGRPCStream(ln net.Listener, conf *tls.Config) { serveGRPC(ln, conf) }

func dialGRPCStream(addr string, conf *tls.Config) (call, error) {
	c, err := grpcConn(addr, conf)
	if err != nil {
		return nil, err
	}
	s, err := c.NewStream(context.Background(), &grpcService.Streams[0], "/bench/stream")
	if err != nil {
		return nil, err
	}
	return multiplex(
		func(b []byte) error { return s.SendMsg(&raw{b}) },
		func() ([]byte, error) {
			var m raw
			err := s.RecvMsg(&m)
			return m.b, err
		}), nil
}
