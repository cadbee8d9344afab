// Command defects breaks the code in known ways, one at a time, and tells which
// tests notice: a test that cannot fail is worth nothing. The source stays as it
// is; the compiler is given other files (-overlay). Run from the module's root:
// go run ./.ci/defects [part of a name].
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// defect replaces one piece of one file.
type defect struct {
	name, file, good, bad string
	tests                 []string // of known
}

// known are the tests that are to notice, as arguments of go test.
var known = map[string][]string{
	"powercut": {"-run", "TestPowerCut", "-timeout", "10m", "./regionnode/internal/partition", "-args", "-powercuts", "12"},
	"stall":    {"-run", "TestStalledDisk", "-timeout", "10m", "./regionnode/internal/partition"},
	"chaos":    {"-run", "TestChaos$", "-timeout", "20m", "./localstack/chaos", "-args", "-duration", "20s", "-seeds", "3"},
}

const partition = "regionnode/internal/partition/"

var defects = []defect{
	{"acknowledge before the sync", partition + "raft.go",
		"	a.Done = func(err error) { p.appended(responses, len(entries) > 0, err) }\n	p.host.cfg.Store.Append(a)",
		"	a.Done = func(error) {}\n	p.host.cfg.Store.Append(a)\n	p.appended(responses, len(entries) > 0, nil)", []string{"powercut"}},
	{"raft log without sync", "regionnode/internal/store/append.go", "b.Commit(pebble.Sync)", "b.Commit(pebble.NoSync)", []string{"powercut"}},
	{"dropped entries are applied", partition + "apply.go", "		if !dropped {\n			a.state.Clock", "		if true {\n			a.state.Clock", []string{"powercut"}},
	{"marks forgotten at a restart", partition + "partition.go", "	p.state = state\n	p.applied.mu.Lock()\n", "	clear(p.transactions.marks)\n	p.state = state\n	p.applied.mu.Lock()\n", []string{"powercut"}},
	{"strong reads without confirmation", partition + "reads.go", "		if p.solo() || p.leased(r) {", "		if r != nil {", []string{"powercut", "chaos"}},
	{"followers answer strong reads", partition + "partition.go", "		case !r.leading && !p.solo():\n			return", "		case !r.leading && !p.solo():\n			return r, nil\n		case r.term == 1<<62:\n			return", []string{"chaos"}},
	{"remote records always win", partition + "remote.go", "if e.old.Version.Compare(rec.Version) < 0 {", "if true {", []string{"powercut"}},
	{"unknown outcomes are tried again", partition + "write.go", "if !errors.Is(err, errNotApplied) {", "if !errors.Is(err, errNotApplied) && !errors.Is(err, errUnknown) {", []string{"powercut", "chaos"}},
	{"acknowledge before a quorum", partition + "propose.go", "	p.host.scheduler.process(p)\n	return nil\n", "	p.host.scheduler.process(p)\n	for _, w := range ws {\n		select {\n		case w.done <- nil:\n		default:\n		}\n	}\n	return nil\n", []string{"chaos"}},
	{"a stalled disk goes on to lead", partition + "raft.go", "		p.watchDisk(in.ticks, in.appended)\n", "", []string{"stall"}},
}

func main() {
	want := strings.Join(os.Args[1:], " ")
	for _, d := range defects { // those that are not asked for too
		if _, err := d.source(); err != nil {
			fmt.Fprintln(os.Stderr, "defects:", err)
			os.Exit(2)
		}
	}
	missed := 0
	for _, d := range defects {
		if !strings.Contains(d.name, want) {
			continue
		}
		for _, test := range d.tests {
			noticed, err := d.try(known[test])
			if err != nil {
				fmt.Fprintln(os.Stderr, "defects:", err)
				os.Exit(2)
			}
			if noticed == "" {
				missed++
			}
			fmt.Printf("%-36s %-10s %s\n", d.name, test, noticed)
		}
	}
	if missed > 0 {
		fmt.Printf("%d not noticed\n", missed)
		os.Exit(1)
	}
}

// source is the broken file.
func (d *defect) source() (string, error) {
	good, err := os.ReadFile(d.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(good), d.good); n != 1 {
		return "", fmt.Errorf("%s: what it replaces is %d times in %s", d.name, n, d.file)
	}
	return strings.Replace(string(good), d.good, d.bad, 1), nil
}

// try runs tests over the broken code; the answer is what they found first, ""
// when they passed.
func (d *defect) try(args []string) (string, error) {
	source, err := d.source()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "defect")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bad := filepath.Join(dir, filepath.Base(d.file))
	if err := os.WriteFile(bad, []byte(source), 0o644); err != nil {
		return "", err
	}
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, d.file): bad}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return "", err
	}
	// Tests that build the product's binaries pass the flag on.
	test := exec.Command("go", append([]string{"test", "-count=1"}, args...)...)
	test.Env = append(os.Environ(), "GOFLAGS=-trimpath -overlay="+file)
	out, err := test.CombinedOutput()
	if err == nil {
		return "", nil
	}
	return first(string(out)), nil
}

// first is the line that tells most of a failure.
func first(out string) string {
	short := "failed"
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.Contains(line, "_test.go:") && !strings.Contains(line, "repeat with") {
			if _, rest, ok := strings.Cut(line, "_test.go:"); ok {
				_, line, _ = strings.Cut(rest, ": ")
			}
			return line[:min(len(line), 110)]
		}
		if strings.Contains(line, "build failed") {
			short = "does not build: " + line
		}
	}
	return short
}
