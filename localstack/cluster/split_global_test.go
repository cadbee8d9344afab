package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSplitsOfAGlobalTable splits a table in two regions while both write it:
// every write reaches the other region, over links that began before and went on
// through the splits on both sides.
func TestSplitsOfAGlobalTable(t *testing.T) {
	regions := []string{"us-east-1", "eu-west-1"}
	c := start(t, Config{Regions: regions, NodesPerRegion: 3, Replication: 3, InMemory: true})
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	info := c.Info()
	makeGlobal(t, info.Endpoint, regions)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	wrote := make([]atomic.Int64, len(regions))
	for i, region := range regions {
		writers.Go(func() {
			for ctx.Err() == nil {
				status, _, err := call(ctx, info.Endpoint, region, "PutItem", put(fmt.Sprintf("%s-%d", region, wrote[i].Load())))
				if err == nil && status == http.StatusOK {
					wrote[i].Add(1)
				}
				pauseFor(ctx, 2*time.Millisecond)
			}
		})
	}
	for n, at := range []string{"8000000000000000", "4000000000000000", "c000000000000000", "2000000000000000"} {
		for i, r := range info.Regions {
			before := wrote[i].Load()
			w := splitWorld{t: t, admin: r.Nodes[n%3].Admin, table: "notes"}
			order := fmt.Sprintf(`{"table":"notes","at":"%s"}`, at)
			w.until(t.Context(), "some writes in "+r.Region, func() bool { return wrote[i].Load() > before+20 })
			w.until(t.Context(), "a split of "+r.Region, func() bool {
				if items, _ := w.partitions(t.Context()); items == n+2 {
					return true
				}
				answer, err := http.Post(w.admin+"/partitions/split", "application/json", strings.NewReader(order))
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				return false
			})
			if err := w.failed(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	writers.Wait()
	for i, from := range regions {
		for n := range wrote[i].Load() {
			until(t, info.Endpoint, regions[1-i], "GetItem", get(fmt.Sprintf("%s-%d", from, n)), found)
		}
	}
	t.Logf("%d and %d writes", wrote[0].Load(), wrote[1].Load())
}

// Nobody may change a region from a page in a browser, which cannot send JSON to
// another origin unasked.
func TestSplitsAreOrderedInJSON(t *testing.T) {
	c := start(t, Config{Regions: []string{"us-east-1"}, InMemory: true})
	defer c.Close()
	client := http.Client{Timeout: time.Minute}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		answer, err := client.Post(c.Info().Regions[0].Nodes[0].Admin+"/partitions/split", kind, strings.NewReader(`{"table":"notes"}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %s", kind, answer.Status)
		}
	}
}
