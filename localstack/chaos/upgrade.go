package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"antipode/localstack/chaos/history"
)

// Upgrade runs a region with the binaries in c.Binaries, which it replaces, and
// under load exchanges its nodes one after another for those in next; then the
// functions; then the nodes back again, so that new functions meet old nodes too.
// It wants every request answered within an ordinary client's attempts, every
// acknowledged write found, and a linearizable history.
func Upgrade(ctx context.Context, c Config, next string) (*Report, error) {
	c.fill()
	old, err := os.MkdirTemp(c.Dir, "old")
	if err != nil {
		return nil, fmt.Errorf("keep the old binaries: %w", err)
	}
	for _, name := range []string{"regionnode", "api"} {
		if err := copyBinary(filepath.Join(c.Binaries, name), filepath.Join(old, name)); err != nil {
			return nil, err
		}
	}
	region, err := startRegion(ctx, &c)
	if err != nil {
		return nil, err
	}
	u := &upgrade{run: run{Config: c, region: region, history: history.New()}}
	err = u.all(ctx, old, next)
	return &u.report, errors.Join(err, region.close())
}

// upgrade is one Upgrade under way.
type upgrade struct {
	run
	failed []string
}

func (u *upgrade) all(ctx context.Context, old, next string) error {
	steps := []func() error{
		func() error { return u.underLoad(ctx, func() error { return u.exchangeNodes(ctx, next) }) },
		func() error { return u.exchangeFunctions(ctx, next) },
		func() error { return u.underLoad(ctx, func() error { return u.exchangeNodes(ctx, old) }) },
		func() error { return u.underLoad(ctx, func() error { return u.exchangeNodes(ctx, next) }) },
		func() error { return u.readAll(ctx) },
		u.history.Check,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	u.report.Operations = u.history.Len()
	if len(u.failed) > 0 {
		return fmt.Errorf("%d requests failed although they were tried %d times, the first: %s", len(u.failed), attempts, u.failed[0])
	}
	return nil
}

// underLoad does something while clients work.
func (u *upgrade) underLoad(ctx context.Context, do func() error) error {
	load, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for i := range u.Clients {
		clients.Go(func() { u.work(load, i) })
		clients.Go(func() { u.insist(load, i) })
	}
	err := do()
	stop()
	clients.Wait()
	return err
}

// attempts are how often the AWS SDKs try a request by default.
const attempts = 3

// insist writes keys of its own as an SDK does: a request that fails is tried
// again after a pause.
func (u *upgrade) insist(ctx context.Context, id int) {
	random := u.random(uint64(1000 + id))
	detached := context.WithoutCancel(ctx)
	for n := 0; rest(ctx, 5*time.Millisecond); n++ {
		key := fmt.Sprintf("kept-%d-%d", id, time.Now().UnixNano())
		result := history.Unknown
		for try := 0; try < attempts && result != history.Done; try++ {
			if try > 0 {
				rest(detached, between(random, 0, time.Second<<(try-1)))
			}
			result = u.region.client.put(detached, key, key)
		}
		u.mu.Lock()
		if result == history.Done {
			u.acked = append(u.acked, key)
		} else {
			u.failed = append(u.failed, key)
		}
		u.mu.Unlock()
	}
}

// exchangeNodes gives each node another binary, one after another.
func (u *upgrade) exchangeNodes(ctx context.Context, from string) error {
	if err := u.install(from, "regionnode"); err != nil {
		return err
	}
	for i := range u.region.nodes() {
		u.Log.Info("exchange", "node", i, "from", from)
		if err := u.restart(ctx, func() int { return u.region.nodes()[i].PID }); err != nil {
			return err
		}
	}
	return nil
}

func (u *upgrade) exchangeFunctions(ctx context.Context, from string) error {
	if err := u.install(from, "api"); err != nil {
		return err
	}
	return u.restart(ctx, func() int { return u.region.cluster.Info().Regions[0].PID })
}

// restart asks a process to end and waits until its successor serves and the
// region is whole.
func (u *upgrade) restart(ctx context.Context, pid func() int) error {
	was := pid()
	if err := syscall.Kill(was, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end process %d: %w", was, err)
	}
	return u.region.until(ctx, "a process is exchanged and the region whole", func() bool {
		if pid() == was || !led(u.region.statuses(ctx)) {
			return false
		}
		result, _ := u.region.client.get(ctx, "k0")
		return result == history.Done
	})
}

// install puts a binary where the supervisor finds it at the next start; what
// runs keeps its own.
func (u *upgrade) install(from, name string) error {
	next := filepath.Join(u.Binaries, name+".next")
	if err := copyBinary(filepath.Join(from, name), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(u.Binaries, name)); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	return nil
}

func copyBinary(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy a binary: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("copy a binary: %w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}
