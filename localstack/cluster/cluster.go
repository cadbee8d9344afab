package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"antipode/functions"
)

// Cluster is a running set of regions.
type Cluster struct {
	config Config
	plan   *layout
	// replaced counts nodes that ReplaceNode exchanged.
	replaced int

	infoLock sync.Mutex
	info     Info
	saveLock sync.Mutex // of the run file
	// failed is closed, with failure set, when a part ended for good by itself.
	failed   chan struct{}
	failOnce sync.Once
	failure  error
	// closers end what was started, the newest first.
	closers []func() error
	// processes are those that were started, by name.
	processes map[string]*process
}

// Start starts everything and returns when every region serves. A cancelled
// ctx ends starting; Close ends the cluster.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if err := config.fill(); err != nil {
		return nil, err
	}
	c := &Cluster{config: config, failed: make(chan struct{}), processes: map[string]*process{}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if !c.config.InMemory {
		lock, err := lockDir(c.config.Dir)
		if err != nil {
			return err
		}
		c.closers = append(c.closers, lock.release)
	}
	plan, err := planLayout(&c.config)
	if err != nil {
		return err
	}
	c.plan = plan
	doors, err := c.listen()
	if err != nil {
		return err
	}
	if c.config.Processes {
		err = c.startProcesses(ctx, plan, doors)
	} else {
		err = c.startInProcess(ctx, plan, doors)
	}
	if err != nil {
		return err
	}
	c.infoLock.Lock()
	c.info.Ready, c.info.PID = true, os.Getpid()
	c.info.Endpoint = "http://" + doors.shared.Addr().String()
	c.infoLock.Unlock()
	if c.config.InMemory {
		return nil
	}
	c.closers = append(c.closers, func() error { return os.Remove(filepath.Join(c.config.Dir, runFile)) })
	info := c.Info()
	return saveRunFile(c.config.Dir, &info)
}

// Info says where everything is.
func (c *Cluster) Info() Info {
	c.infoLock.Lock()
	defer c.infoLock.Unlock()
	info := c.info
	info.Regions = slices.Clone(info.Regions)
	for i := range info.Regions {
		info.Regions[i].Nodes = slices.Clone(info.Regions[i].Nodes)
	}
	return info
}

func (c *Cluster) addRegion(r RegionInfo) {
	c.infoLock.Lock()
	defer c.infoLock.Unlock()
	c.info.Regions = append(c.info.Regions, r)
}

// updatePID notes the new id of a process that was started again.
func (c *Cluster) updatePID(p *process) {
	c.infoLock.Lock()
	for i := range c.info.Regions {
		r := &c.info.Regions[i]
		if p.name == functionsName(r.Region) {
			r.PID = p.pid()
		}
		for n := range r.Nodes {
			if p.name == r.Nodes[n].Name {
				r.Nodes[n].PID = p.pid()
			}
		}
	}
	ready := c.info.Ready
	c.infoLock.Unlock()
	// Several may come back at once; the last to write has seen all.
	c.saveLock.Lock()
	defer c.saveLock.Unlock()
	if info := c.Info(); ready && !c.config.InMemory {
		if err := saveRunFile(c.config.Dir, &info); err != nil {
			c.config.Log.Error("new process id not noted", "process", p.name, "error", err)
		}
	}
}

// Wait returns nil when ctx ends, or the error of a part that ended by itself.
func (c *Cluster) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.failed:
		return c.failure
	}
}

func (c *Cluster) fail(err error) {
	c.failOnce.Do(func() {
		c.failure = err
		close(c.failed)
	})
}

// Close ends the cluster: front doors first, then functions, then nodes.
func (c *Cluster) Close() error {
	var errs []error
	for i := len(c.closers) - 1; i >= 0; i-- {
		errs = append(errs, c.closers[i]())
	}
	c.closers = nil
	return errors.Join(errs...)
}

// doors are the listeners that clients see.
type doors struct {
	shared  net.Listener
	regions []net.Listener // in the order of Config.Regions; nil in processes of their own
	ports   []string
}

// listen opens the shared port and each region's own.
func (c *Cluster) listen() (*doors, error) {
	d := &doors{}
	open := func(offset int) (net.Listener, error) {
		port := 0
		if c.config.Port > 0 {
			port = c.config.Port + offset
		}
		l, err := net.Listen("tcp", net.JoinHostPort(c.config.Host, fmt.Sprint(port)))
		if err != nil {
			return nil, fmt.Errorf("listen for clients: %w (another --port?)", err)
		}
		c.closers = append(c.closers, func() error {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
		return l, nil
	}
	var err error
	if d.shared, err = open(0); err != nil {
		return nil, err
	}
	for i := range c.config.Regions {
		l, err := open(i + 1)
		if err != nil {
			return nil, err
		}
		d.regions = append(d.regions, l)
		d.ports = append(d.ports, l.Addr().String())
	}
	return d, nil
}

// serve answers HTTP on a door until the cluster closes.
func (c *Cluster) serve(l net.Listener, handler *functions.Handler) {
	server := functions.NewServer(handler)
	c.closers = append(c.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return server.Close()
		}
		return nil
	})
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
		}
	}()
}
