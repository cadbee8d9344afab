package chaos

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// scrubInterval is how often the replicas of a partition are compared in a run.
const scrubInterval = "2s"

// compared is what a node says of comparing replicas, since its start.
type compared struct{ bytes, differences float64 }

// checkReplicas waits until all replicas have been compared with one another
// once more, and wants none to differ, then or since the nodes were started.
func (r *run) checkReplicas(ctx context.Context) error {
	total := 0.0
	for _, s := range r.region.statuses(ctx) {
		if s == nil {
			return errors.New("a node does not answer in the end")
		}
		for _, p := range s.Partitions {
			if p.Leader == s.ID {
				total += float64(p.Bytes)
			}
		}
	}
	before, err := r.region.compared(ctx)
	if err != nil {
		return err
	}
	now := before
	// Twice: a comparison that was under way began before the end.
	err = r.region.until(ctx, "all replicas have been compared", func() bool {
		now, err = r.region.compared(ctx)
		return err == nil && now.bytes-before.bytes > 2*total
	})
	if err != nil {
		return err
	}
	if now.differences != 0 {
		return fmt.Errorf("%v replicas differed from their leader's", now.differences)
	}
	return nil
}

// compared sums over all nodes.
func (r *region) compared(ctx context.Context) (sum compared, err error) {
	for _, n := range r.nodes() {
		body, err := r.commandAt(ctx, http.MethodGet, n.Admin+"/metrics", nil)
		if err != nil {
			return sum, err
		}
		for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
			series, text, _ := strings.Cut(lines.Text(), "} ")
			name, _, _ := strings.Cut(series, "{")
			value, err := strconv.ParseFloat(text, 64)
			switch {
			case err != nil:
			case name == "antipode_scrubbed_bytes_total":
				sum.bytes += value
			case name == "antipode_scrub_differences_total":
				sum.differences += value
			}
		}
	}
	return sum, nil
}
