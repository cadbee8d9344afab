package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// replicaUpdates turns ReplicaUpdates into what the home region's job carries
// out.
func replicaUpdates(d *table.Descriptor, in []wire.ReplicationGroupUpdate) ([]regionnode.ReplicaUpdate, error) {
	var out []regionnode.ReplicaUpdate
	for i := range in {
		u, err := replicaUpdate(&in[i])
		if err != nil {
			return nil, err
		}
		if err := checkReplica(d, &u, out); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func replicaUpdate(in *wire.ReplicationGroupUpdate) (u regionnode.ReplicaUpdate, err error) {
	given := 0
	if r := in.Create; r != nil {
		given++
		u = regionnode.ReplicaUpdate{Action: "Create", Replica: replica(r.RegionName, r.KMSMasterKeyId, r.TableClassOverride,
			r.ProvisionedThroughputOverride, r.OnDemandThroughputOverride, r.GlobalSecondaryIndexes)}
	}
	if r := in.Update; r != nil {
		given++
		u = regionnode.ReplicaUpdate{Action: "Update", Replica: replica(r.RegionName, r.KMSMasterKeyId, r.TableClassOverride,
			r.ProvisionedThroughputOverride, r.OnDemandThroughputOverride, r.GlobalSecondaryIndexes)}
	}
	if r := in.Delete; r != nil {
		given++
		u = regionnode.ReplicaUpdate{Action: "Delete", Replica: table.Replica{Region: r.RegionName.Value}}
	}
	if in.Disassociate != nil {
		return u, apierr.Invalid("One or more parameter values were invalid: Disassociate is not supported in ReplicaUpdates")
	}
	if given == 0 {
		return u, apierr.Invalid("There are no actions specified in the Replica Update Action of the request.")
	}
	if given != 1 {
		return u, apierr.Invalid("One or more parameter values were invalid: " +
			"Exactly one of Create, Update or Delete must be specified in each of ReplicaUpdates")
	}
	return u, nil
}

func replica(region, key, class wire.Opt[string], read *wire.ProvisionedThroughputOverride,
	onDemand *wire.OnDemandThroughputOverride, indexes []wire.ReplicaGlobalSecondaryIndex) table.Replica {
	r := table.Replica{Region: region.Value, KMSKey: key.Value, TableClass: class.Value}
	r.ReadOverride, r.OnDemandRead = readOverride(read, onDemand)
	for i := range indexes {
		x := table.ReplicaIndex{Name: indexes[i].IndexName.Value}
		x.ReadOverride, x.OnDemandRead = readOverride(indexes[i].ProvisionedThroughputOverride, indexes[i].OnDemandThroughputOverride)
		r.Indexes = append(r.Indexes, x)
	}
	return r
}

func readOverride(p *wire.ProvisionedThroughputOverride, o *wire.OnDemandThroughputOverride) (provisioned, onDemand *int64) {
	if p != nil && p.ReadCapacityUnits.Set {
		provisioned = &p.ReadCapacityUnits.Value
	}
	if o != nil && o.MaxReadRequestUnits.Set {
		onDemand = &o.MaxReadRequestUnits.Value
	}
	return provisioned, onDemand
}

// checkReplica refuses what contradicts the replica set, or an earlier update of
// the same request.
func checkReplica(d *table.Descriptor, u *regionnode.ReplicaUpdate, earlier []regionnode.ReplicaUpdate) error {
	region := u.Replica.Region
	for i := range earlier {
		if earlier[i].Replica.Region == region {
			return apierr.Invalid("One or more parameter values were invalid: "+
				"Multiple ReplicaUpdates for the same region: %s", region)
		}
	}
	exists := region == d.Region || d.Replica(region) != nil
	switch {
	case u.Action == "Create" && exists:
		return apierr.Invalid("Failed to create a the new replica of table with name: ‘%s’ because one or more replicas "+
			"already existed as tables.", d.Name)
	case u.Action != "Create" && !exists:
		return apierr.Invalid("Update global table operation failed because one or more replicas were not part of the global "+
			"table. Please retry the request without these replicas: [%s].", region)
	}
	return nil
}
