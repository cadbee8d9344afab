package chaos

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// crew is what each node of a region says of its partitions, nil for one that
// does not answer. Unlike a status, it has no line for each of them.
type crew []*duty

// duty is one node's partitions: how many it holds, leads, and gives ticks.
type duty struct{ held, led, awake int }

func (c crew) asleep() bool {
	for _, d := range c {
		if d == nil || d.awake > 0 {
			return false
		}
	}
	return true
}

// leads is how many partitions are led by a node that answers.
func (c crew) leads() int {
	sum := 0
	for _, d := range c {
		if d != nil {
			sum += d.led
		}
	}
	return sum
}

// crew asks all nodes.
func (r *region) crew(ctx context.Context) crew {
	nodes := r.nodes()
	out := make(crew, len(nodes))
	for i, n := range nodes {
		if d, err := r.duty(ctx, n.Admin+"/metrics"); err == nil {
			out[i] = d
		}
	}
	return out
}

// duty reads a node's metrics.
func (r *region) duty(ctx context.Context, url string) (*duty, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := r.admin.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	d := &duty{}
	into := map[string]*int{"antipode_partitions": &d.held, "antipode_partitions_led": &d.led, "antipode_partitions_awake": &d.awake}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), "{")
		_, text, _ := strings.Cut(rest, "} ")
		v, err := strconv.ParseFloat(text, 64)
		if into[name] == nil {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
		*into[name] = int(v)
		delete(into, name)
	}
	if len(into) > 0 {
		return nil, fmt.Errorf("metrics of %s lack %d numbers: %w", url, len(into), lines.Err())
	}
	return d, lines.Err()
}

// bury kills the node that leads most, waits until the others lead everything,
// and starts it again.
func (r *region) bury(ctx context.Context, s *Scale) error {
	before := r.crew(ctx)
	victim := 0
	for i, d := range before {
		if d == nil {
			return fmt.Errorf("node %d does not answer", i+1)
		}
		if d.led > before[victim].led {
			victim = i
		}
	}
	s.Orphans = before[victim].led
	began := time.Now()
	if err := r.cluster.KillNode(r.nodes()[victim].Name); err != nil {
		return err
	}
	err := r.until(ctx, "all partitions have another leader", func() bool {
		now := r.crew(ctx)
		s.Failover = time.Since(began)
		return now.leads() == before.leads()
	})
	if err != nil {
		return err
	}
	return r.revive(ctx, s, victim, before[victim])
}

// revive starts a node again and waits until it is as it was.
func (r *region) revive(ctx context.Context, s *Scale, victim int, before *duty) error {
	began := time.Now()
	if err := r.cluster.ReviveNode(r.nodes()[victim].Name); err != nil {
		return err
	}
	err := r.until(ctx, "the node holds its replicas again", func() bool {
		now := r.crew(ctx)[victim]
		s.Opened = time.Since(began)
		return now != nil && now.held == before.held
	})
	if err != nil {
		return err
	}
	began = time.Now()
	err = r.until(ctx, "the node leads again, and all groups sleep", func() bool {
		now := r.crew(ctx)
		s.Restored = time.Since(began)
		return now.asleep() && now[victim].led == before.led
	})
	if err != nil {
		return err
	}
	s.Back, err = costOf(r.nodes()[victim].PID)
	return err
}
