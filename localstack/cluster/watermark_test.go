package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWatermarkIsNeverAhead asks for the watermark again and again while a table
// is written and split: whatever was acknowledged up to it is in the other region
// at that moment. Once nobody writes, it goes on to rise in a region that keeps
// one copy, where the present can be closed without asking anybody.
func TestWatermarkIsNeverAhead(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas, " copies"), func(t *testing.T) {
			regions := []string{"us-east-1", "eu-west-1"}
			c := start(t, Config{Regions: regions, NodesPerRegion: replicas, Replication: replicas, InMemory: true, Partitions: 2})
			info := c.Info()
			makeGlobal(t, info.Endpoint, regions)
			w := &watermarkWorld{t: t, endpoint: info.Endpoint, admin: info.Regions[0].Nodes[0].Admin, from: regions[0], to: regions[1]}
			w.underWrites()
			if replicas == 1 {
				w.idle()
			}
		})
	}
}

type watermarkWorld struct {
	t                         *testing.T
	endpoint, admin, from, to string

	mu    sync.Mutex
	acked []time.Time // of item number i
}

// known is the watermark, false when it is unknown.
func (w *watermarkWorld) known() (time.Time, bool) {
	w.t.Helper()
	text := w.describe()
	var answer struct {
		ReplicationDescription struct {
			Peers []struct {
				RegionName             string
				Watermark              *float64
				WatermarkUnknownReason string
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		w.t.Fatal(err)
	}
	peers := answer.ReplicationDescription.Peers
	if len(peers) != 1 || peers[0].RegionName != w.to || (peers[0].Watermark == nil) == (peers[0].WatermarkUnknownReason == "") {
		w.t.Fatalf("unexpected answer %s", text)
	}
	if peers[0].Watermark == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(*peers[0].Watermark*1000 + 0.5)), true
}

func (w *watermarkWorld) describe() string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.endpoint, strings.NewReader(`{"TableName":"notes","IncludePartitions":true}`))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "Antipode_20261122.DescribeReplication")
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/"+w.from+"/dynamodb/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("DescribeReplication: %d %s %v", answer.StatusCode, text, err)
	}
	return string(text)
}

// covered is the number of the last item that was acknowledged at or before at;
// -1 for none. A version is no later than its acknowledgement.
func (w *watermarkWorld) covered(at time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.acked) - 1; i >= 0; i-- {
		if !w.acked[i].After(at) {
			return i
		}
	}
	return -1
}

// write puts items one after the other until ctx ends.
func (w *watermarkWorld) write(ctx context.Context) {
	for i := 0; ctx.Err() == nil; {
		status, _, err := call(ctx, w.endpoint, w.from, "PutItem", put(fmt.Sprint(i)))
		if err == nil && status == http.StatusOK {
			w.mu.Lock()
			w.acked = append(w.acked, time.Now())
			w.mu.Unlock()
			i++
		}
	}
}

// samples is how many watermarks that cover a new item are looked at before,
// between and after two splits.
const samples = 12

func (w *watermarkWorld) underWrites() {
	ctx, stop := context.WithCancel(w.t.Context())
	var writer sync.WaitGroup
	writer.Go(func() { w.write(ctx) })
	defer writer.Wait()
	defer stop()
	last := -1
	for _, split := range []string{"4000000000000000", "c000000000000000", ""} {
		for range samples {
			last = w.sample(last)
		}
		if split != "" {
			w.split(split)
		}
	}
	w.t.Logf("%d items, the last one looked at is %d", w.covered(time.Now()), last)
}

// sample waits for a watermark that covers an item behind last and looks for that
// item in the other region at once.
func (w *watermarkWorld) sample(last int) int {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		at, ok := w.known()
		if i := w.covered(at); ok && i > last {
			if text := must(w.t, w.endpoint, w.to, "GetItem", get(fmt.Sprint(i))); !found(text) {
				w.t.Fatalf("the watermark is %s, but item %d, acknowledged by then, is not there", at, i)
			}
			return i
		}
		if time.Now().After(end) {
			w.t.Fatalf("the watermark covers nothing new behind item %d: %s", last, w.describe())
		}
	}
}

func (w *watermarkWorld) split(at string) {
	w.t.Helper()
	s := splitWorld{t: w.t, admin: w.admin, table: "notes"}
	before, _ := s.partitions(w.t.Context())
	s.until(w.t.Context(), "a split", func() bool {
		if items, _ := s.partitions(w.t.Context()); items > before {
			return true
		}
		answer, err := http.Post(w.admin+"/partitions/split", "application/json", strings.NewReader(fmt.Sprintf(`{"table":"notes","at":"%s"}`, at)))
		if err != nil {
			w.t.Fatal(err)
		}
		answer.Body.Close()
		return false
	})
	if err := s.failed(); err != nil {
		w.t.Fatal(err)
	}
}

// idle waits until the watermark has passed the present twice.
func (w *watermarkWorld) idle() {
	for range 2 {
		now, end := time.Now(), time.Now().Add(time.Minute)
		for {
			if at, ok := w.known(); ok && at.After(now) {
				break
			}
			if time.Now().After(end) {
				w.t.Fatalf("nobody writes, and the watermark does not pass %s: %s", now, w.describe())
			}
		}
	}
}
