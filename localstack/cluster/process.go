package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// restartPause is how long a process that ended stays down, as a supervisor of
// a real machine would leave it.
const restartPause = time.Second

// process is one process of a cluster. One that ends by itself, or is killed,
// is started again with the same arguments until stop.
type process struct {
	name  string
	path  string
	args  []string
	env   []string // besides this process's own; what must not show in ps
	first <-chan []byte
	ready []byte // the first ready line

	mu       sync.Mutex
	cmd      *exec.Cmd
	exited   chan struct{} // closed when cmd has ended
	stopping bool
	ended    chan struct{} // closed when nothing restarts any more
}

// supervise starts a binary, waits for its ready line and keeps it running. It
// dies with this process.
func (c *Cluster) supervise(ctx context.Context, name, binary string, args []string, env ...string) (*process, error) {
	p, err := c.begin(name, binary, args, env...)
	if err != nil {
		return nil, err
	}
	return p, p.await(ctx)
}

// begin is supervise without the wait.
func (c *Cluster) begin(name, binary string, args []string, env ...string) (*process, error) {
	p := &process{name: name, path: filepath.Join(c.config.Binaries, binary), args: args, env: env, ended: make(chan struct{})}
	var err error
	if p.first, err = p.launch(); err != nil {
		return nil, err
	}
	c.closers = append(c.closers, p.stop)
	c.processes[name] = p
	go p.keepRunning(c, p.ended)
	return p, nil
}

// await waits for the first ready line.
func (p *process) await(ctx context.Context) error {
	select {
	case p.ready = <-p.first:
	case <-ctx.Done():
		return ctx.Err()
	}
	if len(p.ready) == 0 {
		return fmt.Errorf("%s ended before it was ready (its log is above)", p.name)
	}
	return nil
}

// launch starts the process once; the channel brings its first line, empty if
// it ends without one.
func (p *process) launch() (<-chan []byte, error) {
	cmd := exec.Command(p.path, p.args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), p.env...)
	// Ctrl-C reaches the whole foreground group; parts end in order instead.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	if p.stopping { // since the decision to start it
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	p.mu.Unlock()
	first := make(chan []byte, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadBytes('\n')
		first <- line
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		close(exited)
	}()
	return first, nil
}

// keepRunning starts the process again whenever it ends.
func (p *process) keepRunning(c *Cluster, ended chan struct{}) {
	defer close(ended)
	for {
		p.mu.Lock()
		cmd, exited := p.cmd, p.exited
		p.mu.Unlock()
		<-exited
		if p.isStopping() {
			return
		}
		c.config.Log.Warn("process ended; starting it again", "process", p.name, "state", cmd.ProcessState.String())
		time.Sleep(restartPause)
		if p.isStopping() {
			return
		}
		if _, err := p.launch(); err != nil {
			c.fail(err)
			return
		}
		c.updatePID(p)
	}
}

func (p *process) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// stop ends the process, with patience and then without.
func (p *process) stop() error {
	p.mu.Lock()
	p.stopping = true
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-ended:
	case <-time.After(2 * shutdownPatience):
		p.mu.Lock()
		_ = p.cmd.Process.Kill()
		p.mu.Unlock()
		<-ended
	}
	return nil
}

// KillNode kills a node's process, which stays dead until ReviveNode. Without
// processes of their own, or another name, it fails.
func (c *Cluster) KillNode(name string) error {
	p, ok := c.processes[name]
	if !ok {
		return fmt.Errorf("no node %s runs as a process", name)
	}
	p.mu.Lock()
	p.stopping = true
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-ended
	return nil
}

// ReviveNode starts the process of a node again that KillNode killed, and keeps
// it running. It does not wait until the node serves.
func (c *Cluster) ReviveNode(name string) error {
	p, ok := c.processes[name]
	if !ok || !p.isStopping() {
		return fmt.Errorf("no node %s was killed", name)
	}
	p.mu.Lock()
	p.stopping, p.ended = false, make(chan struct{})
	ended := p.ended
	p.mu.Unlock()
	if _, err := p.launch(); err != nil {
		close(ended)
		return err
	}
	c.updatePID(p)
	go p.keepRunning(c, ended)
	return nil
}
