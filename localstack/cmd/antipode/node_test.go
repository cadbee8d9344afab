package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"antipode/localstack/cluster"
)

// TestNodeCommands lists, drains and removes nodes of a region in this process.
func TestNodeCommands(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Config{
		Regions: []string{"us-east-1"}, NodesPerRegion: 4, Replication: 3, InMemory: true, ReplaceAfter: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	var f nodeFlags
	for _, n := range c.Info().Regions[0].Nodes {
		f.admins = append(f.admins, n.Admin)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := f.list(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 5 || !strings.Contains(lines[4], "us-east-1-4") || !strings.Contains(lines[4], "alive") {
		t.Fatalf("list:\n%s", out.String())
	}
	out.Reset()
	// The catalog is on the first three.
	if err := f.drain(ctx, &out, "us-east-1-1"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "us-east-1-1 holds nothing any more\n") {
		t.Fatalf("drain:\n%s", out.String())
	}
	out.Reset()
	if err := f.remove(ctx, &out, "us-east-1-1"); err != nil || out.String() != "us-east-1-1 is removed\n" {
		t.Fatalf("remove: %v\n%s", err, out.String())
	}
	if _, err := f.order(ctx, "us-east-1-1", "drain"); err == nil || !strings.Contains(err.Error(), "no region that answers has a node us-east-1-1") {
		t.Fatalf("a node that is gone: %v", err)
	}
	if err := f.remove(ctx, &out, "us-east-1-2"); err == nil || !strings.Contains(err.Error(), "drain it first") {
		t.Fatalf("a node that serves: %v", err)
	}
	// Three nodes are left for three replicas: the drain waits, and says why.
	out.Reset()
	watched, stop := context.WithCancel(ctx)
	defer stop()
	w := &stopWriter{w: &out, at: "no other node can take its replicas", stop: stop}
	if err := f.drain(watched, w, "us-east-1-2"); !errors.Is(err, context.Canceled) {
		t.Fatalf("drain without room: %v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "'antipode node undrain us-east-1-2' ends it") {
		t.Fatalf("drain:\n%s", out.String())
	}
	if _, err := f.order(ctx, "us-east-1-2", "undrain"); err != nil {
		t.Fatal(err)
	}
	if _, err := callAdmin(ctx, "POST", f.admins[1], "/nodes/us-east-1-2/explode"); err == nil {
		t.Fatal("an unknown action")
	}
}

// stopWriter calls stop, as Ctrl-C would, when a text was written.
type stopWriter struct {
	w    *bytes.Buffer
	at   string
	stop func()
}

func (s *stopWriter) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.at) {
		s.stop()
	}
	return s.w.Write(b)
}
