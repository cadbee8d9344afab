package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"antipode/regionnode/table"
	"antipode/replication"
)

// ReplicaJobKind is the Job.Kind whose Data is a ReplicaJob.
const ReplicaJobKind = "replica"

// Action is what a ReplicaJob does. On disk: never reorder.
type Action uint8

// The actions of replica jobs.
const (
	CreateAction   Action = iota + 1 // add Region to the global table
	DeleteAction                     // take Region out of it
	SettingsAction                   // tell all regions the newest settings
	MoveAction                       // Region is the home now; leave the table
)

// Step is where a ReplicaJob is: the step to do next. On disk: never reorder.
type Step uint8

// The steps of replica jobs, in the order in which an action takes them (see
// package controller).
const (
	StepCreateTable Step = iota + 1 // make the table in the new region
	StepSpread                      // all regions know the replica set, and log
	StepOpenLinks                   // fix where every link to the new region starts
	StepDrain                       // the home has what others wrote before that
	StepBackfill                    // ship a snapshot of the home
	StepActivate                    // all regions call the replica ACTIVE
	StepCloseLinks                  // the others ship nothing more to the region
	StepDropTable                   // the region's table is gone
	StepForget                      // the remaining regions know that it is
	StepHandOver                    // the new home takes over
)

// ReplicaJob is the durable state of a change of a global table.
type ReplicaJob struct {
	Action Action `msgpack:"a"`
	Region string `msgpack:"r,omitempty"`
	Step   Step   `msgpack:"s"`
	// Starts are where the existing peers' links to Region began: region by
	// region, in order, one position for each partition.
	Starts []LinkStarts `msgpack:"st,omitempty"`
	// Partition and After continue the back-fill: that partition of the home,
	// behind that key; those with lower ids are done.
	Partition table.PartitionID `msgpack:"p,omitempty"`
	After     []byte            `msgpack:"af,omitempty"`
	// Records counts what the back-fill has shipped.
	Records int64 `msgpack:"n,omitempty"`
	// Failure ends a CreateAction that cannot succeed; the replica is taken out
	// again.
	Failure string `msgpack:"f,omitempty"`
}

// LinkStarts are the start positions of one region's links.
type LinkStarts struct {
	Region string      `msgpack:"r"`
	Starts []LinkStart `msgpack:"s"`
}

// LinkStart is where one partition's link began.
type LinkStart struct {
	Partition table.PartitionID    `msgpack:"p"`
	Position  replication.Position `msgpack:"o"`
}

// startJob adds a job that holds row's table.
func (t *txn) startJob(row *tableRow, data ReplicaJob) error {
	b, err := msgpack.Marshal(&data)
	if err != nil {
		return fmt.Errorf("encode a job: %w", err)
	}
	j := Job{ID: t.id(), Kind: ReplicaJobKind, Table: row.Descriptor.ID, Generation: 1, Data: b}
	row.Job = j.ID
	return t.put(idKey(jobPrefix, j.ID), &j)
}

// Jobs implements Registry.
func (c *Catalog) Jobs(ctx context.Context) ([]Job, error) {
	var out []Job
	err := c.confirmed(ctx, func(s *state) error {
		out = sorted(s.jobs)
		return nil
	})
	return out, err
}

// Replica decodes a replica job's state.
func (j *Job) Replica() (*ReplicaJob, error) {
	r := new(ReplicaJob)
	if err := msgpack.Unmarshal(j.Data, r); err != nil {
		return nil, fmt.Errorf("decode job %x: %w", j.ID, err)
	}
	return r, nil
}

// StepJob stores a job's next state and, in the same change, what the step makes
// of its table: alter, if not nil, may change the descriptor's Global. It is
// refused with ErrConflict if the job is no longer as j says (I11). It answers
// with the job as it is now.
func (c *Catalog) StepJob(ctx context.Context, j Job, next *ReplicaJob, alter func(d *table.Descriptor)) (Job, error) {
	stepped := j
	err := c.change(ctx, func(t *txn) error {
		if err := t.holds(j); err != nil {
			return err
		}
		b, err := msgpack.Marshal(next)
		if err != nil {
			return fmt.Errorf("encode job %x: %w", j.ID, err)
		}
		stepped.Generation, stepped.Data = j.Generation+1, b
		if err := t.put(idKey(jobPrefix, j.ID), &stepped); err != nil {
			return err
		}
		name, ok := t.s.names[j.Table]
		if alter == nil || !ok {
			return nil
		}
		row := *t.s.tables[name]
		row.Descriptor = cloneGlobal(row.Descriptor)
		row.Descriptor.Generation++
		if row.Descriptor.Global != nil {
			row.Descriptor.Global.Generation++
		}
		alter(row.Descriptor)
		return t.put(tablePrefix+name, &row)
	})
	return stepped, err
}

// EndJob ends a job and frees its table, unless the global table has changed
// since the generation that all its regions were told of: then ended is false,
// and they must be told again.
func (c *Catalog) EndJob(ctx context.Context, j Job, told uint64) (ended bool, err error) {
	err = c.change(ctx, func(t *txn) error {
		ended = false
		if err := t.holds(j); err != nil {
			return err
		}
		if name, ok := t.s.names[j.Table]; ok {
			row := *t.s.tables[name]
			if g := row.Descriptor.Global; g != nil && g.Generation != told {
				return nil
			}
			row.Descriptor = cloneGlobal(row.Descriptor)
			row.Descriptor.Generation++
			row.Job = 0
			if err := t.rememberSource(&row, &j); err != nil {
				return err
			}
			if err := t.put(tablePrefix+name, &row); err != nil {
				return err
			}
		}
		ended = true
		t.drop(idKey(jobPrefix, j.ID))
		return nil
	})
	return ended && err == nil, err
}

// holds refuses a job that is no longer as j says.
func (t *txn) holds(j Job) error {
	if held := t.s.jobs[j.ID]; held == nil || held.Generation != j.Generation {
		return fmt.Errorf("job %x: %w", j.ID, ErrConflict)
	}
	return nil
}

// rememberSource records the replica that a finished job back-filled from here,
// and forgets those that have left.
func (t *txn) rememberSource(row *tableRow, j *Job) error {
	job, err := j.Replica()
	if err != nil {
		return err
	}
	g := row.Descriptor.Global
	made := job.Action == CreateAction && g != nil && replica(g, job.Region) != nil
	row.Sources = slices.DeleteFunc(slices.Clone(row.Sources), func(s source) bool {
		return g == nil || made && s.Region == job.Region || replica(g, s.Region) == nil
	})
	if made {
		row.Sources = append(row.Sources, source{Region: job.Region, At: t.c.cfg.Clock().UnixMilli()})
	}
	return nil
}
