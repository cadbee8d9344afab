package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config of a benchmark.
type Config struct {
	// Binary is the antipode executable; it serves the floors as well.
	Binary string
	// Dir holds the servers' data while they run; it is emptied afterwards.
	Dir string
	// Connections are the degrees of concurrency to measure.
	Connections []int
	// Duration of one measurement; every measurement is made Rounds times, in
	// turn with the others, so that a machine that drifts spoils all alike.
	Duration time.Duration
	Rounds   int
	// LagRate is the writes a second under which replication lag is measured;
	// 0 leaves lag out. LagDuration is for how long.
	LagRate     int
	LagDuration time.Duration
	// Only, when not empty, measures just the operations named, and their floors.
	Only []string
	// Progress and Stderr get what a person wants to see meanwhile.
	Progress io.Writer
	Stderr   io.Writer
}

func (c *Config) fill() {
	if len(c.Connections) == 0 {
		c.Connections = []int{1, 32, 128}
	}
	if c.Duration == 0 {
		c.Duration = 2 * time.Second
	}
	if c.Rounds == 0 {
		c.Rounds = 2
	}
	if c.LagDuration == 0 {
		c.LagDuration = 10 * time.Second
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
}

// workload is one row of the report.
type workload struct {
	name     string
	target   string // "answers", "write" or "product"
	floor    string // the workload whose rate is this one's floor, or ""
	requests [][]byte
}

// The floors of writes, by how many syncs there must be one after the other: the
// second is of what is decided elsewhere than where it is done.
const (
	oneSync  = "floor: 1 synced write"
	twoSyncs = "floor: 2 synced writes"
)

// workloads are the product's. A read's floor is added when its answer is known.
func workloads() ([]workload, error) {
	var list []workload
	var err error
	add := func(name, floor, operation string, format func(int) string) {
		var requests [][]byte
		if err == nil {
			requests, err = signedAll("us-east-1", operation, bodies(format))
		}
		list = append(list, workload{name, "product", floor, requests})
	}
	const one, ten, hundred, batch = "floor: 1 item's bytes", "floor: 10 items' bytes", "floor: 100 items' bytes", "floor: batch's bytes"
	add("PutItem", oneSync, "PutItem", putBody)
	add("GetItem strong", one, "GetItem", func(i int) string { return getBody(i, true) })
	add("GetItem eventual", one, "GetItem", func(i int) string { return getBody(i, false) })
	add("Query 10", ten, "Query", queryBody("benchlist", shortRun))
	add("Query 100", hundred, "Query", queryBody("benchlong", longRun))
	add("BatchGetItem 100", batch, "BatchGetItem", batchGetBody)
	add("UpdateItem", oneSync, "UpdateItem", updateBody)
	add("TransactWrite 3", oneSync, "TransactWriteItems", transactBody("benchtransact", "benchtransact"))
	add("TransactWrite 3, token", twoSyncs, "TransactWriteItems", withToken(transactBody("benchtransact", "benchtransact")))
	add("TransactWrite 3, 2 tables", twoSyncs, "TransactWriteItems", transactBody("benchtransact", "benchtransact2"))
	add("PutItem, global index", oneSync, "PutItem", indexedBody)
	return list, err
}

// floors are those of the workloads given. The answers' lengths are taken from
// the product, by one request each.
func floors(addr string, of []workload) ([]workload, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	puts, err := signedAll("us-east-1", "PutItem", bodies(putBody))
	if err != nil {
		return nil, err
	}
	var list []workload
	for _, w := range of {
		if slices.ContainsFunc(list, func(f workload) bool { return f.name == w.floor }) {
			continue
		}
		f := workload{name: w.floor, target: "write"}
		switch w.floor {
		case oneSync:
			f.requests = withHeader(puts, syncHeader, "1")
		case twoSyncs:
			f.requests = withHeader(withHeader(puts, syncHeader, "1"), syncHeader, "2")
		default:
			answer, err := fetch(conn, reader, w.requests[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			f.target, f.requests = "answers", withHeader(w.requests, answerHeader, strconv.Itoa(len(answer)))
		}
		list = append(list, f)
	}
	return list, nil
}

// Run starts floors and product, measures, stops them, and reports.
func Run(ctx context.Context, c Config) (*Report, error) {
	c.fill()
	list, err := workloads()
	if err != nil {
		return nil, err
	}
	report := &Report{Time: time.Now().UTC(), Machine: machine(), Connections: c.Connections}
	if err := c.measureOperations(ctx, list, report); err != nil {
		return nil, err
	}
	if len(c.Only) == 0 {
		if report.Writes, err = c.measureWrites(ctx); err != nil {
			return nil, err
		}
	}
	if c.LagRate > 0 {
		if report.Lag, err = c.measureLag(ctx); err != nil {
			return nil, err
		}
	}
	return report, nil
}

func (c *Config) measureOperations(ctx context.Context, list []workload, report *Report) error {
	addrs, stop, err := c.startTargets(ctx)
	defer stop()
	if err != nil {
		return err
	}
	if err := prepare(ctx, addrs["product"]); err != nil {
		return fmt.Errorf("prepare tables: %w", err)
	}
	list = slices.DeleteFunc(list, func(w workload) bool { return !c.wants(w) })
	below, err := floors(addrs["product"], list)
	if err != nil {
		return fmt.Errorf("find the floors: %w", err)
	}
	list = append(below, list...)
	for _, conns := range c.Connections {
		for range c.Rounds {
			for _, w := range list {
				fmt.Fprintf(c.Progress, "%-24s %4d connections …\r", w.name, conns)
				result, err := load(ctx, addrs[w.target], w.requests, conns, c.Duration)
				if err != nil {
					return fmt.Errorf("%s at %d connections: %w", w.name, conns, err)
				}
				report.add(w, conns, result)
			}
		}
	}
	return nil
}

func (c *Config) wants(w workload) bool {
	if len(c.Only) == 0 {
		return true
	}
	for _, name := range c.Only {
		if strings.HasPrefix(strings.ToLower(w.name), strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// startTargets starts the three servers; stop ends those that were started.
func (c *Config) startTargets(ctx context.Context) (addrs map[string]string, stop func(), err error) {
	dirs, err := os.MkdirTemp(c.Dir, "bench-")
	if err != nil {
		return nil, func() {}, fmt.Errorf("make data directory: %w", err)
	}
	var started []*process
	stop = func() {
		for _, p := range started {
			p.stop()
		}
		_ = os.RemoveAll(dirs)
	}
	addrs = map[string]string{}
	commands := map[string][]string{
		"answers": {"bench", "floor", "--kind", "answers"},
		"write":   {"bench", "floor", "--kind", "write", "--data", filepath.Join(dirs, "floor")},
		"product": {"up", "--json", "--regions", "us-east-1", "--port", "0", "--data", filepath.Join(dirs, "product")},
	}
	for name, args := range commands {
		p, err := startProcess(ctx, c.Binary, c.Stderr, args...)
		if err != nil {
			return nil, stop, err
		}
		started = append(started, p)
		if addrs[name], err = hostPort(p.ready.Endpoint); err != nil {
			return nil, stop, err
		}
	}
	return addrs, stop, nil
}

func hostPort(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return u.Host, nil
}

// prepare creates the tables and fills them, so that every read finds its
// items.
func prepare(ctx context.Context, addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	caller := &caller{conn: conn, reader: bufio.NewReader(conn), region: "us-east-1"}
	for _, schema := range tables {
		if _, err := caller.call("CreateTable", schema); err != nil {
			return err
		}
	}
	for name := range tables {
		if err := caller.awaitActive(ctx, name); err != nil {
			return err
		}
	}
	return fill(ctx, addr)
}

// fill puts every item once, over enough connections to share the syncs.
func fill(ctx context.Context, addr string) error {
	for _, format := range []func(int) string{putBody, listBody("benchlist", shortRun), listBody("benchlong", longRun)} {
		requests, err := signedAll("us-east-1", "PutItem", bodies(format))
		if err != nil {
			return err
		}
		const lanes = 32
		errs := make(chan error, lanes)
		for l := range lanes {
			go func() { errs <- putEvery(ctx, addr, requests, l, lanes) }()
		}
		for range lanes {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func putEvery(ctx context.Context, addr string, requests [][]byte, first, step int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for i := first; i < len(requests); i += step {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := exchange(conn, reader, requests[i]); err != nil {
			return err
		}
	}
	return nil
}

// caller makes single requests in one region over one connection.
type caller struct {
	conn   net.Conn
	reader *bufio.Reader
	region string
}

func (c *caller) call(operation, body string) ([]byte, error) {
	raw, err := signed(c.region, operation, body)
	if err != nil {
		return nil, err
	}
	answer, err := fetch(c.conn, c.reader, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return answer, nil
}

// awaitActive asks until the table is ACTIVE in the caller's region.
func (c *caller) awaitActive(ctx context.Context, name string) error {
	for {
		answer, err := c.call("DescribeTable", `{"TableName":"`+name+`"}`)
		if err == nil && strings.Contains(string(answer), `"TableStatus":"ACTIVE"`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
