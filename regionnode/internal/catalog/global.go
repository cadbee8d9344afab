package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// sourceHold is how long the region from which a table replica was back-filled
// cannot leave the global table while that replica is there (AWS's rule).
const sourceHold = 24 * time.Hour

// updateReplicas carries out an UpdateTable with ReplicaUpdates, which AWS
// allows only alone and one at a time. The checks that need no state come first,
// as they do there.
func (c *Catalog) updateReplicas(ctx context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	u, err := c.oneReplicaUpdate(r.Replicas)
	if err != nil {
		return nil, err
	}
	d, err := c.DescribeTable(ctx, r.Descriptor.Name)
	if err != nil {
		return nil, err
	}
	if d.Global != nil && d.Global.Home != c.cfg.Region {
		return c.forward(ctx, d, &GlobalUpdate{From: c.cfg.Region, Group: d.Global.Group,
			Update: regionnode.UpdateTableRequest{Descriptor: table.Descriptor{Name: d.Name}, Replicas: []regionnode.ReplicaUpdate{u}}})
	}
	return c.changeReplica(ctx, d, c.cfg.Region, u)
}

// oneReplicaUpdate is the one action of a list, or the refusal of the list.
func (c *Catalog) oneReplicaUpdate(list []regionnode.ReplicaUpdate) (regionnode.ReplicaUpdate, error) {
	u := list[0]
	for _, other := range list[1:] {
		// The same again is one (DDB-TABLE-224).
		if same(other, u) {
			continue
		}
		if other.Action != u.Action {
			return u, apierr.Invalid("Update table operation with more than one type of replica actions not allowed")
		}
		if other.Replica.Region != u.Replica.Region && u.Action != "Update" {
			return u, apierr.Invalid("Update table operation with more than one create or delete replica actions not allowed")
		}
		if other.Replica.Region != u.Replica.Region {
			return u, apierr.Invalid("Update table operation with more than one update replica action not allowed.")
		}
	}
	if u.Replica.Region == c.cfg.Region {
		return u, apierr.Invalid("Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or UpdateTable as required.")
	}
	var names []string
	if c.cfg.Abroad != nil {
		names = c.cfg.Abroad.Names()
	}
	if !slices.Contains(names, u.Replica.Region) {
		return u, apierr.Invalid("Region %s is not supported. The latest version of global tables are only supported in the following regions: [%s]",
			u.Replica.Region, strings.Join(names, ", "))
	}
	return u, nil
}

// forward hands a change to the table's home and answers as the table will soon
// be here.
func (c *Catalog) forward(ctx context.Context, d *table.Descriptor, u *GlobalUpdate) (*table.Descriptor, error) {
	if c.cfg.Abroad == nil {
		return nil, fmt.Errorf("table %s: its home %s is no peer", d.Name, d.Global.Home)
	}
	if _, err := c.cfg.Abroad.Update(ctx, d.Global.Home, u); err != nil {
		return nil, fmt.Errorf("update table %s at its home %s: %w", d.Name, d.Global.Home, err)
	}
	d = clone(d)
	d.Status = table.Updating
	return d, nil
}

// ApplyGlobal is the home's side of a change that another region's client asked
// for.
func (c *Catalog) ApplyGlobal(ctx context.Context, g *GlobalUpdate) (*table.Descriptor, error) {
	d, err := c.DescribeTable(ctx, g.Update.Descriptor.Name)
	if err != nil {
		return nil, err
	}
	if d.Global == nil || d.Global.Group != g.Group {
		return nil, apierr.TableMissing(d.Name)
	}
	if len(g.Update.Replicas) > 0 {
		return c.changeReplica(ctx, d, g.From, g.Update.Replicas[0])
	}
	var made *table.Descriptor
	err = c.change(ctx, func(t *txn) error {
		row, err := t.table(d.Name)
		if err != nil {
			return err
		}
		next := takeShared(row.Descriptor, &g.Update.Descriptor)
		if err := t.free(row, next); err != nil {
			return err
		}
		made, err = t.updateTable(row, next)
		return err
	})
	return made, err
}

// changeReplica starts the job behind one replica action, at the table's home.
func (c *Catalog) changeReplica(ctx context.Context, d *table.Descriptor, from string, u regionnode.ReplicaUpdate) (*table.Descriptor, error) {
	region := u.Replica.Region
	if u.Action != "Update" && region != c.cfg.Region {
		if err := c.checkThere(ctx, d, u.Action, region); err != nil {
			return nil, err
		}
	}
	group, err := c.uuid()
	if err != nil {
		return nil, err
	}
	var made *table.Descriptor
	err = c.change(ctx, func(t *txn) error {
		row, err := t.table(d.Name)
		if err != nil {
			return err
		}
		if err := membership(row.Descriptor, u); err != nil {
			return err
		}
		if inUse(row.Descriptor) != nil {
			return t.free(row, &table.Descriptor{})
		}
		next := *row
		next.Descriptor = cloneGlobal(row.Descriptor)
		next.Descriptor.Generation++
		next.Descriptor.Status = table.Updating
		made = next.Descriptor
		var job ReplicaJob
		switch {
		case u.Action == "Create":
			job = t.beginCreate(made, group, u.Replica)
		case u.Action == "Update":
			job = beginUpdate(made, u.Replica)
		case region == c.cfg.Region:
			if err := t.checkSource(row); err != nil {
				return err
			}
			job = beginMove(made, from)
		default:
			job = beginDelete(made, region)
		}
		if err := t.startJob(&next, job); err != nil {
			return err
		}
		return t.put(tablePrefix+made.Name, &next)
	})
	return made, err
}

// checkThere looks at the other region before the job starts: a new replica
// needs its name free there, and a protected one cannot be deleted.
func (c *Catalog) checkThere(ctx context.Context, d *table.Descriptor, action, region string) error {
	there, err := c.cfg.Abroad.Describe(ctx, region, d.Name)
	switch {
	case apierr.Is(err, apierr.ResourceNotFound):
		return nil
	case err != nil && action == "Create":
		c.cfg.Log.Warn("a region for a new table replica does not answer", "region", region, "error", err)
		return apierr.Invalid("Failed to access the region: ‘%s’. User is missing the permissions since the region is disabled.", region)
	case err != nil:
		return fmt.Errorf("look at table %s in %s: %w", d.Name, region, err)
	case action == "Create":
		return replicaExists(d.Name)
	case there.Protected:
		return apierr.Invalid("Cannot delete table %s in region %s because it has deletion protection enabled. Disable deletion protection first.", d.Name, region)
	}
	return nil
}

// replicaExists is AWS's refusal, word for word.
func replicaExists(name string) error {
	return apierr.Invalid("Failed to create a the new replica of table with name: ‘%s’ because one or more replicas already existed as tables.", name)
}

// membership refuses to add a member or to change a stranger.
func membership(d *table.Descriptor, u regionnode.ReplicaUpdate) error {
	member := d.Global != nil && replica(d.Global, u.Replica.Region) != nil
	switch {
	case u.Action == "Create" && member:
		return replicaExists(d.Name)
	case u.Action != "Create" && !member:
		return apierr.Invalid("Update global table operation failed because one or more replicas were not part of the global table. Please retry the request without these replicas: [%s].", u.Replica.Region)
	}
	return nil
}

// replica finds a region's table replica, nil for none.
func replica(g *table.Global, region string) *table.Replica {
	for i := range g.Replicas {
		if g.Replicas[i].Region == region {
			return &g.Replicas[i]
		}
	}
	return nil
}

// beginCreate adds a CREATING replica to d, which becomes global with the first
// one; its stream is on from here on, as in AWS.
func (t *txn) beginCreate(d *table.Descriptor, group string, r table.Replica) ReplicaJob {
	here := t.c.cfg.Region
	if d.Global == nil {
		d.Global = &table.Global{Group: group, Home: here, Epoch: 1, Replicas: []table.Replica{{Region: here, Status: table.Active}}}
	}
	r.Status = table.Creating
	d.Global.Replicas = append(d.Global.Replicas, r)
	d.Global.Generation++
	if d.Stream == nil || !d.Stream.Enabled {
		d.StartStream(&table.Stream{Enabled: true, View: "NEW_AND_OLD_IMAGES"}, t.c.cfg.Clock())
	}
	t.labelStream(d)
	return ReplicaJob{Action: CreateAction, Region: r.Region, Step: StepCreateTable}
}

// beginUpdate changes a replica's overrides.
func beginUpdate(d *table.Descriptor, r table.Replica) ReplicaJob {
	held := replica(d.Global, r.Region)
	if r.KMSKey != "" {
		held.KMSKey = r.KMSKey
	}
	if r.TableClass != "" {
		held.TableClass = r.TableClass
	}
	if r.ReadOverride != nil {
		held.ReadOverride = r.ReadOverride
	}
	if r.OnDemandRead != nil {
		held.OnDemandRead = r.OnDemandRead
	}
	held.Indexes = slices.Clone(held.Indexes)
	for _, x := range r.Indexes {
		i := slices.IndexFunc(held.Indexes, func(h table.ReplicaIndex) bool { return h.Name == x.Name })
		if i < 0 {
			held.Indexes = append(held.Indexes, x)
		} else {
			held.Indexes[i] = x
		}
	}
	d.Global.Generation++
	return ReplicaJob{Action: SettingsAction, Region: r.Region, Step: StepSpread}
}

func beginDelete(d *table.Descriptor, region string) ReplicaJob {
	replica(d.Global, region).Status = table.Deleting
	d.Global.Generation++
	return ReplicaJob{Action: DeleteAction, Region: region, Step: StepSpread}
}

// beginMove makes another region the home, which then deletes the replica here.
func beginMove(d *table.Descriptor, home string) ReplicaJob {
	d.Global.Home = home
	d.Global.Epoch++
	d.Global.Generation++
	return ReplicaJob{Action: MoveAction, Region: home, Step: StepSpread}
}

// checkSource refuses the deletion of a replica from which another one that is
// still there was back-filled a short time ago.
func (t *txn) checkSource(row *tableRow) error {
	now := t.c.cfg.Clock().UnixMilli()
	for _, s := range row.Sources {
		if replica(row.Descriptor.Global, s.Region) != nil && now-s.At < sourceHold.Milliseconds() {
			return apierr.Invalid("Replica cannot be deleted because it has acted as a source region for new replica(s) being added to the table in the last 24 hours.")
		}
	}
	return nil
}

// leaveGroup is DeleteTable of a table replica: its home deletes it.
func (c *Catalog) leaveGroup(ctx context.Context, d *table.Descriptor) (*table.Descriptor, error) {
	u := regionnode.ReplicaUpdate{Action: "Delete", Replica: table.Replica{Region: c.cfg.Region}}
	var err error
	if d.Global.Home == c.cfg.Region {
		i := slices.IndexFunc(d.Global.Replicas, func(r table.Replica) bool { return r.Region != c.cfg.Region && r.Status == table.Active })
		if i < 0 {
			return nil, inUse(&table.Descriptor{Name: d.Name, Status: table.Updating})
		}
		_, err = c.changeReplica(ctx, d, d.Global.Replicas[i].Region, u)
	} else {
		_, err = c.forward(ctx, d, &GlobalUpdate{From: c.cfg.Region, Group: d.Global.Group,
			Update: regionnode.UpdateTableRequest{Descriptor: table.Descriptor{Name: d.Name}, Replicas: []regionnode.ReplicaUpdate{u}}})
	}
	if err != nil {
		return nil, err
	}
	d = clone(d)
	d.Status = table.Deleting
	return d, nil
}
