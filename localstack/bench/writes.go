package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Writes is what one PutItem of about 1 KB of a new item makes a node of a region
// of one write, with what follows from it behind the client's back. One is made
// after another: under load, writes share entries.
type Writes struct {
	Indexes int     `json:"global_indexes"`
	Entries float64 `json:"raft_entries"`
	Bytes   float64 `json:"store_bytes"`
}

// writesEach is how many items are put to measure Writes.
const writesEach = 500

// measureWrites measures tables without, with one and with two global indexes.
func (c *Config) measureWrites(ctx context.Context) ([]Writes, error) {
	dir, err := os.MkdirTemp(c.Dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := startProcess(ctx, c.Binary, c.Stderr, "up", "--json", "--regions", "us-east-1", "--port", "0", "--data", dir)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	addr, err := hostPort(p.ready.Endpoint)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	caller := &caller{conn: conn, reader: bufio.NewReader(conn), region: "us-east-1"}
	metrics := p.ready.Regions[0].Nodes[0].Admin + "/metrics"
	var out []Writes
	for indexes := range 3 {
		fmt.Fprintf(c.Progress, "writes with %d global indexes …\r", indexes)
		w, err := caller.measureWrites(ctx, metrics, indexes)
		if err != nil {
			return nil, fmt.Errorf("writes with %d global indexes: %w", indexes, err)
		}
		out = append(out, w)
	}
	return out, nil
}

func (c *caller) measureWrites(ctx context.Context, metrics string, indexes int) (Writes, error) {
	w := Writes{Indexes: indexes}
	name := fmt.Sprint("writes", indexes)
	if _, err := c.call("CreateTable", indexedTable(name, indexes)); err != nil {
		return w, err
	}
	if err := c.awaitActive(ctx, name); err != nil {
		return w, err
	}
	before, err := atRest(ctx, metrics)
	if err != nil {
		return w, err
	}
	for i := range writesEach {
		if _, err := c.call("PutItem", strings.Replace(putBody(i), `"TableName":"bench"`, `"TableName":"`+name+`"`, 1)); err != nil {
			return w, err
		}
	}
	after, err := atRest(ctx, metrics)
	if err != nil {
		return w, err
	}
	w.Entries = (after.entries - before.entries) / writesEach
	w.Bytes = (after.bytes - before.bytes) / writesEach
	return w, nil
}

// indexedTable is a table with global indexes by some attributes of putBody's
// items.
func indexedTable(name string, indexes int) string {
	if indexes == 0 {
		return hashTable(name, "")
	}
	var list, attributes []string
	for i := range indexes {
		list = append(list, fmt.Sprintf(`{"IndexName":"by-%d","KeySchema":[{"AttributeName":"attribute%d","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}`, i, i))
		attributes = append(attributes, fmt.Sprintf(`,{"AttributeName":"attribute%d","AttributeType":"S"}`, i))
	}
	return hashTable(name, `,"GlobalSecondaryIndexes":[`+strings.Join(list, ",")+`]`, attributes...)
}

// written are a node's counters.
type written struct{ entries, bytes float64 }

// restLooks is how many looks in a row must find the same counters.
const restLooks = 5

// atRest reads the counters when nothing is written any more.
func atRest(ctx context.Context, url string) (written, error) {
	var last written
	for same := 0; same < restLooks; {
		now, err := readWritten(ctx, url)
		if err != nil {
			return written{}, err
		}
		if same++; now != last {
			last, same = now, 0
		}
		select {
		case <-ctx.Done():
			return written{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return last, nil
}

func readWritten(ctx context.Context, url string) (w written, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return w, fmt.Errorf("read metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return w, fmt.Errorf("read metrics: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), "{")
		_, text, _ := strings.Cut(rest, "} ")
		into := map[string]*float64{"antipode_raft_entries": &w.entries, "antipode_store_written_bytes_total": &w.bytes}[name]
		if into == nil {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return w, fmt.Errorf("metric %s: %w", name, err)
		}
		*into += v
	}
	if err := lines.Err(); err != nil {
		return w, fmt.Errorf("read metrics: %w", err)
	}
	return w, nil
}
