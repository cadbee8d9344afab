package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// replicaUpdates turns ReplicaUpdates into what the home region's job carries
// out.
func replicaUpdates(in []wire.ReplicationGroupUpdate) ([]regionnode.ReplicaUpdate, error) {
	var out []regionnode.ReplicaUpdate
	for i := range in {
		u, err := replicaUpdate(&in[i])
		if err != nil {
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
	if given == 0 || u.Action == "Update" && overridesNothing(&u.Replica) {
		return u, apierr.Invalid("There are no actions specified in the Replica Update Action of the request.")
	}
	if u.Action == "Update" && u.Replica.KMSKey != "" {
		// Whatever the key is: it is changed in the replica's own region (DDB-TABLE-309).
		return u, apierr.Invalid("One or more parameter values were invalid: KMSMasterKeyId must be specified for each replica.")
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

// overridesNothing tells an update of a replica that says nothing but its region.
func overridesNothing(r *table.Replica) bool {
	return r.KMSKey == "" && r.TableClass == "" && r.ReadOverride == nil && r.OnDemandRead == nil && len(r.Indexes) == 0
}
