package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is one server under test, started from the antipode binary.
type process struct {
	cmd   *exec.Cmd
	ready readyLine
}

// readyLine is what a server prints on stdout once it serves: the shape of
// `antipode up --json`, of which the floors print only the endpoint.
type readyLine struct {
	Ready    bool   `json:"ready"`
	Endpoint string `json:"endpoint"`
	Regions  []struct {
		Region   string `json:"region"`
		Endpoint string `json:"endpoint"`
		Nodes    []struct {
			Admin string `json:"admin"`
		} `json:"nodes"`
	} `json:"regions"`
}

// startProcess runs binary with args and waits for its ready line.
func startProcess(ctx context.Context, binary string, stderr io.Writer, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	// A benchmark that dies takes its servers along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	p := &process{cmd: cmd}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &p.ready) == nil && p.ready.Ready {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return p, nil
		}
	}
	_ = cmd.Wait()
	return nil, fmt.Errorf("%v ended before it was ready", args)
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}
