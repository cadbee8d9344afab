package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/internal/catalog"
	"antipode/regionnode/table"
	"antipode/replication"
)

func jobName(j catalog.Job) string { return fmt.Sprintf("job %x", j.ID) }

// replicaJob is a job in the hands of a worker.
type replicaJob struct {
	c     *Controller
	row   catalog.Job
	state *catalog.ReplicaJob
	// d is the table as of the current step.
	d *table.Descriptor
}

// step does what a job's step says. It returns with the job moved on to another
// step (or ended), or with an error after which the same step is taken again.
type step func(j *replicaJob, ctx context.Context) error

var steps = map[catalog.Step]step{
	catalog.StepCreateTable: (*replicaJob).createTable,
	catalog.StepSpread:      (*replicaJob).spread,
	catalog.StepOpenLinks:   (*replicaJob).openLinks,
	catalog.StepDrain:       (*replicaJob).drain,
	catalog.StepBackfill:    (*replicaJob).backfill,
	catalog.StepActivate:    (*replicaJob).finish,
	catalog.StepCloseLinks:  (*replicaJob).closeLinks,
	catalog.StepDropTable:   (*replicaJob).dropTable,
	catalog.StepForget:      (*replicaJob).finish,
	catalog.StepHandOver:    (*replicaJob).handOver,
}

// runReplicaJob takes the steps of a job until it ends. Another controller that
// took the job over meanwhile makes StepJob conflict, which ends this one.
func (c *Controller) runReplicaJob(ctx context.Context, row catalog.Job) error {
	state, err := row.Replica()
	if err != nil {
		return err
	}
	j := &replicaJob{c: c, row: row, state: state}
	for j.state != nil {
		do, ok := steps[j.state.Step]
		if !ok {
			return fmt.Errorf("job %x is at unknown step %d", row.ID, j.state.Step)
		}
		if j.d, err = c.cfg.Catalog.TableByID(ctx, row.Table); apierr.Is(err, apierr.ResourceNotFound) {
			return j.end(ctx) // the table has gone, and with it the reason
		} else if err != nil {
			return err
		}
		c.cfg.Log.Debug("a global table's job takes a step", "table", j.d.Name, "job", row.ID, "action", j.state.Action, "step", j.state.Step)
		if err := do(j, ctx); errors.Is(err, catalog.ErrConflict) {
			return nil // not this controller's job any more
		} else if err != nil {
			return fmt.Errorf("table %s, step %d: %w", j.d.Name, j.state.Step, err)
		}
	}
	return nil
}

// next moves the job on, durably; change prepares its state, and alter, if not
// nil, changes the table in the same moment.
func (j *replicaJob) next(ctx context.Context, to catalog.Step, change func(*catalog.ReplicaJob), alter func(*table.Descriptor)) error {
	state := *j.state
	state.Step = to
	if change != nil {
		change(&state)
	}
	row, err := j.c.cfg.Catalog.StepJob(ctx, j.row, &state, alter)
	if err != nil {
		return err
	}
	j.row, j.state = row, &state
	return nil
}

// end ends the job, once all regions know the newest state of the table; if
// that has changed meanwhile, the same step is taken again.
func (j *replicaJob) end(ctx context.Context) error {
	var told uint64
	if j.d != nil && j.d.Global != nil {
		told = j.d.Global.Generation
	}
	ended, err := j.c.cfg.Catalog.EndJob(ctx, j.row, told)
	if ended {
		j.state = nil
	}
	return err
}

// region finds a region: this one, or a peer.
func (j *replicaJob) region(name string) (Region, error) {
	if name == j.c.cfg.Catalog.Region() {
		return j.c.Region(), nil
	}
	if r := j.c.cfg.Regions.Region(name); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("region %s is not a peer of %s", name, j.c.cfg.Catalog.Region())
}

// others are the regions of the group without this one and the job's.
func (j *replicaJob) others() []string {
	var out []string
	if j.d.Global == nil {
		return nil
	}
	for _, r := range j.d.Global.Replicas {
		if r.Region != j.c.cfg.Catalog.Region() && r.Region != j.state.Region {
			out = append(out, r.Region)
		}
	}
	return out
}

// each calls regions concurrently.
func (j *replicaJob) each(ctx context.Context, regions []string, f func(ctx context.Context, name string, r Region) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range regions {
		g.Go(func() error {
			r, err := j.region(name)
			if err != nil {
				return err
			}
			if err := f(ctx, name, r); err != nil {
				return fmt.Errorf("region %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (j *replicaJob) here() string { return j.c.cfg.Catalog.Region() }

// createTable makes the table in the new region. If its name is taken there,
// which the request had checked, the replica is taken out again.
func (j *replicaJob) createTable(ctx context.Context) error {
	r, err := j.region(j.state.Region)
	if err != nil {
		return err
	}
	err = r.CreateReplica(ctx, &ReplicaRequest{Descriptor: j.d})
	if refusal := apierr.Of(err); refusal != nil && refusal.Code == apierr.Validation {
		j.c.cfg.Log.Warn("a new table replica was refused", "table", j.d.Name, "region", j.state.Region, "error", err)
		return j.next(ctx, catalog.StepForget, func(s *catalog.ReplicaJob) { s.Failure = refusal.Message }, remove(j.state.Region))
	}
	if err != nil {
		return fmt.Errorf("create the table in %s: %w", j.state.Region, err)
	}
	return j.next(ctx, catalog.StepSpread, nil, nil)
}

// spread tells every region of the group what it is now, this one's partitions
// included, and goes on to what the action does next.
func (j *replicaJob) spread(ctx context.Context) error {
	if err := j.tellAll(ctx); err != nil {
		return err
	}
	switch j.state.Action {
	case catalog.CreateAction:
		return j.next(ctx, catalog.StepOpenLinks, nil, nil)
	case catalog.DeleteAction:
		return j.next(ctx, catalog.StepDrain, nil, nil)
	case catalog.MoveAction:
		return j.next(ctx, catalog.StepHandOver, nil, nil)
	}
	return j.end(ctx)
}

func (j *replicaJob) tellAll(ctx context.Context) error {
	if err := j.c.awaitPushed(ctx, j.d.Name, j.d.Generation); err != nil {
		return err
	}
	if j.d.Global == nil {
		return nil
	}
	told := &ReplicaRequest{Descriptor: j.d}
	regions := j.others()
	for _, r := range j.d.Global.Replicas {
		if r.Region == j.state.Region && r.Region != j.here() {
			regions = append(regions, r.Region)
		}
	}
	return j.each(ctx, regions, func(ctx context.Context, _ string, r Region) error { return r.SetGlobal(ctx, told) })
}

// links names the links of the table to a region.
func (j *replicaJob) links(to string) *LinksRequest {
	return &LinksRequest{Table: j.d.Name, Group: j.d.Global.Group, To: to}
}

// openLinks fixes where every region's links to the new one start, and opens the
// new one's to all others from their beginnings. From here on the new region
// gets everything that is written after those positions.
func (j *replicaJob) openLinks(ctx context.Context) error {
	others := j.others()
	starts := make([]catalog.LinkStarts, len(others))
	err := j.each(ctx, append([]string{j.here()}, others...), func(ctx context.Context, name string, r Region) error {
		progress, err := r.OpenLinks(ctx, j.links(j.state.Region))
		if i := slices.Index(others, name); err == nil && i >= 0 {
			starts[i] = catalog.LinkStarts{Region: name, Starts: startsOf(progress)}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("open links to %s: %w", j.state.Region, err)
	}
	fresh, err := j.region(j.state.Region)
	if err != nil {
		return err
	}
	for _, to := range append([]string{j.here()}, others...) {
		l := j.links(to)
		l.FromStart = true
		if _, err := fresh.OpenLinks(ctx, l); err != nil {
			return fmt.Errorf("open links from %s to %s: %w", j.state.Region, to, err)
		}
	}
	return j.next(ctx, catalog.StepDrain, func(s *catalog.ReplicaJob) { s.Starts = starts }, nil)
}

func startsOf(progress []Progress) []catalog.LinkStart {
	out := make([]catalog.LinkStart, len(progress))
	for i, p := range progress {
		out[i] = catalog.LinkStart{Partition: p.Partition, Position: p.Start}
	}
	return out
}

// drain waits until nothing is on its way that the next step could miss. For a
// new region: what the other regions wrote before their links to it began must
// have reached the home, for the back-fill takes it from there. For a leaving
// region: what it has written must have reached all others.
func (j *replicaJob) drain(ctx context.Context) error {
	if j.state.Action == catalog.DeleteAction {
		return j.drainLeaving(ctx)
	}
	for _, from := range j.state.Starts {
		r, err := j.region(from.Region)
		if err != nil {
			return err
		}
		if err := awaitAcked(ctx, r, j.links(j.here()), from.Starts); err != nil {
			return fmt.Errorf("wait for what %s wrote: %w", from.Region, err)
		}
	}
	return j.next(ctx, catalog.StepBackfill, nil, nil)
}

func (j *replicaJob) drainLeaving(ctx context.Context) error {
	leaving, err := j.region(j.state.Region)
	if err != nil {
		return err
	}
	err = j.each(ctx, append([]string{j.here()}, j.others()...), func(ctx context.Context, name string, _ Region) error {
		progress, err := leaving.LinkProgress(ctx, j.links(name))
		if err != nil {
			return err
		}
		ends := startsOf(progress)
		for i := range ends {
			ends[i].Position = progress[i].End
		}
		return awaitAcked(ctx, leaving, j.links(name), ends)
	})
	if err != nil {
		return fmt.Errorf("wait for what %s wrote: %w", j.state.Region, err)
	}
	return j.next(ctx, catalog.StepCloseLinks, nil, nil)
}

// awaitAcked waits until a region's links have acknowledged everything up to the
// given positions.
func awaitAcked(ctx context.Context, r Region, l *LinksRequest, until []catalog.LinkStart) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		progress, err := r.LinkProgress(ctx, l)
		if err != nil {
			return err
		}
		if slices.IndexFunc(until, func(u catalog.LinkStart) bool { return !reached(progress, u) }) < 0 {
			return nil
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func reached(progress []Progress, u catalog.LinkStart) bool {
	i := slices.IndexFunc(progress, func(p Progress) bool { return p.Partition == u.Partition })
	return i >= 0 && passed(progress[i].Acked, u.Position)
}

// passed tells whether position a is at or behind b. A log generation that
// follows another has a higher id.
func passed(a, b replication.Position) bool {
	if a.Generation != b.Generation {
		return a.Generation > b.Generation
	}
	return a.Sequence >= b.Sequence
}

// savePages is how many pages of a back-fill may have to be shipped again after
// a crash.
const savePages = 16

// backfill ships a snapshot of every partition of the home, page by page.
func (j *replicaJob) backfill(ctx context.Context) error {
	w, err := j.c.cfg.Catalog.TableWork(ctx, j.d.Name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(w.Partitions, splitting) {
		return fmt.Errorf("back-fill %s: %w", j.state.Region, errSplitting)
	}
	for i := range w.Partitions {
		p := &w.Partitions[i]
		if !itemPartition(p) || p.ID < j.state.Partition {
			continue
		}
		if err := j.backfillPartition(ctx, w, p); err != nil {
			return fmt.Errorf("back-fill %s: %w", j.state.Region, err)
		}
	}
	activate := func(d *table.Descriptor) {
		for i := range d.Global.Replicas {
			if d.Global.Replicas[i].Region == j.state.Region {
				d.Global.Replicas[i].Status = table.Active
			}
		}
	}
	return j.next(ctx, catalog.StepActivate, nil, activate)
}

func (j *replicaJob) backfillPartition(ctx context.Context, w *catalog.TableWork, p *catalog.Partition) error {
	var after []byte
	if p.ID == j.state.Partition {
		after = j.state.After
	}
	records := j.state.Records
	for page := 1; ; page++ {
		r := &BackfillRequest{Partition: p.ID, Table: j.d.Name, To: j.state.Region, After: after}
		out, err := onLeader(ctx, j.c, w, p, func(ctx context.Context, h Host) (*BackfillResponse, error) { return h.Backfill(ctx, r) })
		if err != nil {
			return err
		}
		after, records = out.After, records+int64(out.Records)
		if !out.Done && page%savePages != 0 {
			continue
		}
		err = j.next(ctx, catalog.StepBackfill, func(s *catalog.ReplicaJob) {
			s.Partition, s.After, s.Records = p.ID, after, records
			if out.Done {
				s.Partition, s.After = p.ID+1, nil
			}
		}, nil)
		if err != nil || out.Done {
			return err
		}
	}
}

// finish tells the regions of the last change, and ends the job.
func (j *replicaJob) finish(ctx context.Context) error {
	if err := j.tellAll(ctx); err != nil {
		return err
	}
	return j.end(ctx)
}

// closeLinks stops the others from shipping to a region that leaves.
func (j *replicaJob) closeLinks(ctx context.Context) error {
	err := j.each(ctx, append([]string{j.here()}, j.others()...), func(ctx context.Context, _ string, r Region) error {
		return r.CloseLinks(ctx, j.links(j.state.Region))
	})
	if err != nil {
		return fmt.Errorf("close links to %s: %w", j.state.Region, err)
	}
	return j.next(ctx, catalog.StepDropTable, nil, nil)
}

// dropTable deletes the leaving region's table and takes the region out of the
// group.
func (j *replicaJob) dropTable(ctx context.Context) error {
	r, err := j.region(j.state.Region)
	if err != nil {
		return err
	}
	if err := r.DropReplica(ctx, &GroupRequest{Table: j.d.Name, Group: j.d.Global.Group}); err != nil {
		return fmt.Errorf("delete the table in %s: %w", j.state.Region, err)
	}
	return j.next(ctx, catalog.StepForget, nil, remove(j.state.Region))
}

// remove takes a region out of a group; a group of one is no global table.
func remove(region string) func(*table.Descriptor) {
	return func(d *table.Descriptor) {
		g := d.Global
		if g == nil {
			return
		}
		g.Replicas = slices.DeleteFunc(g.Replicas, func(r table.Replica) bool { return r.Region == region })
		if len(g.Replicas) < 2 {
			d.Global = nil
		}
	}
}

// handOver asks the new home to delete the replica here, as the old home's last
// act for the group.
func (j *replicaJob) handOver(ctx context.Context) error {
	r, err := j.region(j.state.Region)
	if err != nil {
		return err
	}
	_, err = r.Update(ctx, &catalog.GlobalUpdate{From: j.here(), Group: j.d.Global.Group, Update: regionnode.UpdateTableRequest{
		Descriptor: table.Descriptor{Name: j.d.Name},
		Replicas:   []regionnode.ReplicaUpdate{{Action: "Delete", Replica: table.Replica{Region: j.here()}}},
	}})
	// A refusal on the members' list means that an earlier attempt got through.
	if err != nil && !apierr.Is(err, apierr.Validation) {
		return fmt.Errorf("hand the table over to %s: %w", j.state.Region, err)
	}
	return j.end(ctx)
}
