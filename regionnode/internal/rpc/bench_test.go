package rpc

import (
	"context"
	"fmt"
	"testing"

	"antipode/regionnode"
)

// BenchmarkGet is a Get of a 1 KB item over loopback, client and server in one
// process. Its floor is BenchmarkRaw: the same without msgpack.
func BenchmarkGet(b *testing.B) {
	s, addr := serve(b, Config{})
	item := make([]byte, 1024)
	Handle(s, "Get", func(context.Context, *regionnode.GetRequest) (*regionnode.GetResponse, error) {
		return &regionnode.GetResponse{Item: item, Size: len(item)}, nil
	})
	p := dial(b, Config{})
	req := &regionnode.GetRequest{Target: regionnode.Target{Table: 1 << 50, Partition: 1 << 50, Range: 3}, Key: make([]byte, 40)}
	benchmark(b, func(ctx context.Context) error {
		_, err := Call[regionnode.GetRequest, regionnode.GetResponse](ctx, p, addr, "Get", req)
		return err
	})
}

func BenchmarkRaw(b *testing.B) {
	s, addr := serve(b, Config{})
	HandleRaw(s, "Raw", func(_ context.Context, req []byte) ([]byte, error) { return req, nil })
	p := dial(b, Config{})
	req := make([]byte, 1024)
	benchmark(b, func(ctx context.Context) error {
		_, err := p.CallRaw(ctx, addr, "Raw", req)
		return err
	})
}

func benchmark(b *testing.B, call func(context.Context) error) {
	for _, callers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(callers) // times GOMAXPROCS; with 1 see -cpu 1
			b.RunParallel(func(pb *testing.PB) {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				for pb.Next() {
					if err := call(ctx); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
