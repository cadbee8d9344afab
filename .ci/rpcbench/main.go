// Command rpcbench compares what could carry antipode's internal calls: a
// request of 1 KB and an answer of 1 KB on loopback, with 1, 32 and 128 callers,
// client and server in one process. It prints one table; regionnode/internal/rpc/DESIGN.md
// records the ratios and what was chosen for them. It is a module of its own, so
// that the losers never enter antipode's.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
)

// call sends one request and returns the answer's bytes.
type call func(ctx context.Context, req []byte) ([]byte, error)

// candidate is one way to carry calls. serve answers every request with its own
// bytes until ln is closed; dial returns a caller safe for concurrent use.
// Both get TLS configurations, nil for plain TCP.
type candidate struct {
	name  string
	serve func(ln net.Listener, conf *tls.Config)
	dial  func(addr string, conf *tls.Config) (call, error)
}

var candidates = []candidate{
	{"framed", serveFramed, dialFramed},
	{"drpc", serveDRPC, dialDRPC},
	{"drpc-stream", serveDRPCStream, dialDRPCStream},
	{"grpc", serveGRPC, dialGRPC},
	{"grpc-stream", serveGRPCStream, dialGRPCStream},
	{"ttrpc", serveTTRPC, dialTTRPC},
	{"http1", serveHTTP1, dialHTTP1},
	{"connect", serveConnect, dialConnect},
}

func main() {
	only := flag.String("only", "", "comma-separated candidates, empty for all")
	duration := flag.Duration("d", 2*time.Second, "how long each measurement runs")
	size := flag.Int("size", 1024, "bytes of the request and of the answer")
	secure := flag.Bool("tls", false, "mutual TLS 1.3 instead of plain TCP")
	rounds := flag.Int("rounds", 3, "interleaved repetitions; the median round counts")
	flag.Parse()
	if err := run(*only, *duration, *size, *secure, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "rpcbench:", err)
		os.Exit(1)
	}
}

func run(only string, d time.Duration, size int, secure bool, rounds int) error {
	var server, client *tls.Config
	if secure {
		var err error
		if server, client, err = certificates(); err != nil {
			return err
		}
	}
	results := map[string][]result{}
	var names []string
	for range rounds {
		for _, c := range candidates {
			if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
				continue
			}
			if !slices.Contains(names, c.name) {
				names = append(names, c.name)
			}
			for _, callers := range []int{1, 32, 128} {
				r, err := measure(c, server, client, callers, size, d)
				if err != nil {
					return fmt.Errorf("%s, %d callers: %w", c.name, callers, err)
				}
				key := fmt.Sprintf("%s/%d", c.name, callers)
				results[key] = append(results[key], r)
			}
		}
	}
	print(names, results)
	return nil
}

// result of one measurement; cpu is user and system time of the whole process
// (client and server) for one call.
type result struct {
	ops      float64
	p50, p99 time.Duration
	cpu      time.Duration
}

func measure(c candidate, server, client *tls.Config, callers, size int, d time.Duration) (result, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return result{}, err
	}
	defer ln.Close()
	go c.serve(ln, server)
	do, err := c.dial(ln.Addr().String(), client)
	if err != nil {
		return result{}, err
	}
	if _, _, err := drive(do, callers, size, d/8); err != nil { // connections, pools, caches
		return result{}, err
	}
	before := cpuTime()
	start := time.Now()
	samples, n, err := drive(do, callers, size, d)
	if err != nil {
		return result{}, err
	}
	took, cpu := time.Since(start), cpuTime()-before
	slices.Sort(samples)
	return result{
		ops: float64(n) / took.Seconds(),
		p50: samples[len(samples)/2],
		p99: samples[len(samples)*99/100],
		cpu: cpu / time.Duration(n),
	}, nil
}

// drive runs callers closed loops for d and returns every latency.
func drive(do call, callers, size int, d time.Duration) ([]time.Duration, int, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   []time.Duration
		first error
		stop  atomic.Bool
	)
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	for range callers {
		wg.Go(func() {
			req := make([]byte, size)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var own []time.Duration
			var failed error
			for !stop.Load() && failed == nil {
				start := time.Now()
				answer, err := do(ctx, req)
				own = append(own, time.Since(start))
				if err == nil && len(answer) != size {
					err = fmt.Errorf("answer of %d bytes", len(answer))
				}
				failed = err
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			if first == nil {
				first = failed
			}
		})
	}
	wg.Wait()
	return all, len(all), first
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// print writes medians over the rounds; ×grpc is the throughput relative to
// grpc's unary calls with as many callers.
func print(names []string, results map[string][]result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "candidate\tcallers\tops/s\t×grpc\tp50\tp99\tCPU/op\t")
	for _, name := range names {
		for _, callers := range []int{1, 32, 128} {
			r := median(results[fmt.Sprintf("%s/%d", name, callers)])
			ratio := "-"
			if base := results[fmt.Sprintf("grpc/%d", callers)]; base != nil {
				ratio = fmt.Sprintf("%.2f", r.ops/median(base).ops)
			}
			fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%v\t%v\t%v\t\n", name, callers, r.ops, ratio,
				r.p50.Round(time.Microsecond), r.p99.Round(time.Microsecond), r.cpu.Round(100*time.Nanosecond))
		}
	}
	w.Flush()
}

func median(rs []result) result {
	sorted := slices.Clone(rs)
	slices.SortFunc(sorted, func(a, b result) int { return int(a.ops - b.ops) })
	return sorted[len(sorted)/2]
}
