package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Scale is what a region costs that has many partitions and nothing to do.
type Scale struct {
	Partitions int
	// Created is how long it took to create them, Asleep how much longer until no
	// group ticked any more.
	Created, Asleep time.Duration
	// Nodes are the costs of each process; Functions those of the region's
	// functions.
	Nodes     []Cost
	Functions Cost
	// Orphans is how many partitions the killed node led, Failover how long until
	// the last of them had another leader.
	Orphans  int
	Failover time.Duration
	// Opened is how long it took from the start of that node's process until it
	// held its replicas again, Restored how much longer until it led as many
	// partitions as before and no group ticked any more. Back is what its process
	// had cost by then: seconds of processor time, and memory.
	Opened, Restored time.Duration
	Back             Cost
}

// Cost is what one process uses.
type Cost struct {
	CPU      float64 // cores, over the measured time
	Resident uint64  // bytes
}

// String is a few lines for a person.
func (s *Scale) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d partitions created in %v, asleep %v later", s.Partitions, s.Created.Round(time.Millisecond), s.Asleep.Round(time.Millisecond))
	all := Cost{}
	for i, c := range s.Nodes {
		fmt.Fprintf(&b, "\nnode %d: %.1f %% of a core, %d MB", i+1, 100*c.CPU, c.Resident>>20)
		all.CPU, all.Resident = all.CPU+c.CPU, all.Resident+c.Resident
	}
	fmt.Fprintf(&b, "\nall nodes: %.1f %% of a core, %d MB; functions: %.1f %%, %d MB", 100*all.CPU, all.Resident>>20, 100*s.Functions.CPU, s.Functions.Resident>>20)
	fmt.Fprintf(&b, "\nkill of a node: %d partitions had another leader within %v", s.Orphans, s.Failover.Round(time.Millisecond))
	fmt.Fprintf(&b, "\nits return: open within %v, leads %d again and all asleep %v later, after %.1f s of a core, with %d MB",
		s.Opened.Round(time.Millisecond), s.Orphans, s.Restored.Round(time.Millisecond), s.Back.CPU, s.Back.Resident>>20)
	return b.String()
}

// MeasureScale makes tables of c.Partitions partitions each, waits until all
// groups sleep, looks what the processes cost over a while, and then kills a
// node and starts it again.
func MeasureScale(ctx context.Context, c Config, tables int, over time.Duration) (*Scale, error) {
	c.fill()
	began := time.Now()
	r, err := startRegion(ctx, &c)
	if err != nil {
		return nil, err
	}
	out, err := r.scale(ctx, &c, tables, over, began)
	return out, errors.Join(err, r.close())
}

func (r *region) scale(ctx context.Context, c *Config, tables int, over time.Duration, began time.Time) (*Scale, error) {
	for i := range tables - 1 {
		if err := r.createNamed(ctx, fmt.Sprintf("%s-%d", tableName, i)); err != nil {
			return nil, err
		}
	}
	s := &Scale{Partitions: tables * c.Partitions, Created: time.Since(began)}
	began = time.Now()
	asleep := func() bool { return r.crew(ctx).asleep() }
	if err := r.until(ctx, "all groups sleep", asleep); err != nil {
		return s, err
	}
	s.Asleep = time.Since(began)
	if err := r.measure(ctx, s, over); err != nil {
		return s, err
	}
	if !asleep() {
		return s, errors.New("groups woke up with nothing to do")
	}
	return s, r.bury(ctx, s)
}

// measure fills in what the processes cost over a while.
func (r *region) measure(ctx context.Context, s *Scale, over time.Duration) error {
	pids := []int{r.cluster.Info().Regions[0].PID}
	for _, n := range r.nodes() {
		pids = append(pids, n.PID)
	}
	before := make([]Cost, len(pids))
	for i, pid := range pids {
		var err error
		if before[i], err = costOf(pid); err != nil {
			return err
		}
	}
	began := time.Now()
	timer := time.NewTimer(over)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	}
	took := time.Since(began).Seconds()
	for i, pid := range pids {
		now, err := costOf(pid)
		if err != nil {
			return err
		}
		now.CPU = (now.CPU - before[i].CPU) / took
		if i == 0 {
			s.Functions = now
		} else {
			s.Nodes = append(s.Nodes, now)
		}
	}
	return nil
}

// clockTicks are those of /proc in a second, on all of Linux that Go runs on.
const clockTicks = 100

// costOf reads the seconds of processor time that a process has used, and its
// memory.
func costOf(pid int) (Cost, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Cost{}, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 22 {
		return Cost{}, fmt.Errorf("processor time of %d: %q", pid, stat)
	}
	var n [3]uint64
	for i, field := range []int{11, 12, 21} { // user, system, resident pages
		if n[i], err = strconv.ParseUint(fields[field], 10, 64); err != nil {
			return Cost{}, fmt.Errorf("processor time of %d: %w", pid, err)
		}
	}
	return Cost{CPU: float64(n[0]+n[1]) / clockTicks, Resident: n[2] * uint64(os.Getpagesize())}, nil
}

// createNamed makes one more table and waits for it.
func (r *region) createNamed(ctx context.Context, name string) error {
	return r.create(ctx, name, `{"TableName":"`+name+`","BillingMode":"PAY_PER_REQUEST",`+
		`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`)
}

func (r *region) create(ctx context.Context, name, body string) error {
	status, text, err := r.client.call(ctx, "CreateTable", body)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("create table: %d %s %w", status, text, err)
	}
	return r.until(ctx, "the table is active", func() bool {
		_, text, err := r.client.call(ctx, "DescribeTable", `{"TableName":"`+name+`"}`)
		return err == nil && strings.Contains(text, `"TableStatus":"ACTIVE"`)
	})
}
