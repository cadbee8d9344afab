package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what one run of the load generator saw. Latencies are in
// nanoseconds, Rate in requests a second.
type Result struct {
	Requests int64   `json:"requests"`
	Rate     float64 `json:"rate"`
	P50      int64   `json:"p50_ns"`
	P99      int64   `json:"p99_ns"`
}

// load drives addr over conns keep-alive connections for d, each with one
// request under way at a time. The connections walk through requests, each from
// its own place. The first answer other than 200 ends the run.
func load(ctx context.Context, addr string, requests [][]byte, conns int, d time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	lanes := make([]lane, conns)
	errs := make([]error, conns)
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for i := range lanes {
		group.Go(func() {
			errs[i] = lanes[i].run(ctx, addr, requests, &next)
			if errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return Result{}, err
		}
	}
	return summarize(lanes, elapsed), nil
}

func summarize(lanes []lane, elapsed time.Duration) Result {
	var all []int64
	for i := range lanes {
		all = append(all, lanes[i].latencies...)
	}
	slices.Sort(all)
	return Result{
		Requests: int64(len(all)),
		Rate:     float64(len(all)) / elapsed.Seconds(),
		P50:      quantile(all, 0.50),
		P99:      quantile(all, 0.99),
	}
}

// quantile of a sorted slice; 0 of an empty one.
func quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// lane is one connection.
type lane struct {
	latencies []int64
}

func (l *lane) run(ctx context.Context, addr string, requests [][]byte, next *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	fresh := bytes.Contains(requests[0], []byte(tokenMark))
	for ctx.Err() == nil {
		request := requests[int(next.Add(1))%len(requests)]
		if fresh {
			request = withFreshToken(request)
		}
		began := time.Now()
		if err := exchange(conn, reader, request); err != nil {
			return err
		}
		l.latencies = append(l.latencies, int64(time.Since(began)))
	}
	return nil
}

// tokens counts the request tokens of this process.
var tokens atomic.Int64

// withFreshToken is a request with a token that no other one has, as SDKs send
// it. The signature does not cover it: the servers measured verify none.
func withFreshToken(request []byte) []byte {
	out := bytes.Clone(request)
	at := bytes.Index(out, []byte(tokenMark))
	copy(out[at:], fmt.Sprintf("%0*d", len(tokenMark), tokens.Add(1)))
	return out
}

// exchange sends one request and reads its answer away. It understands what
// net/http servers send to keep-alive clients: a status line, headers, and a
// body of Content-Length bytes.
func exchange(conn net.Conn, reader *bufio.Reader, request []byte) error {
	body, err := roundTrip(conn, reader, request)
	if err != nil {
		return err
	}
	_, err = reader.Discard(body)
	return err
}

// fetch is exchange that keeps the body.
func fetch(conn net.Conn, reader *bufio.Reader, request []byte) ([]byte, error) {
	n, err := roundTrip(conn, reader, request)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(reader, body)
	return body, err
}

// roundTrip sends request and reads up to the body, whose length it returns.
func roundTrip(conn net.Conn, reader *bufio.Reader, request []byte) (int, error) {
	if _, err := conn.Write(request); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	status, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("read status: %w", err)
	}
	ok := bytes.Contains(status, []byte(" 200 "))
	length := -1
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if v, found := cutHeader(line, "Content-Length"); found {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return 0, fmt.Errorf("content length: %w", err)
			}
		}
	}
	if length < 0 {
		return 0, fmt.Errorf("answer without a Content-Length")
	}
	if !ok {
		body := make([]byte, length)
		_, _ = io.ReadFull(reader, body)
		return 0, fmt.Errorf("refused: %s", body)
	}
	return length, nil
}

func cutHeader(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}
