package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func updateTable(c *call, in *wire.UpdateTableInput) error {
	dropEmpty(in)
	if err := checkUpdate(in); err != nil {
		return err
	}
	old, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	if err := admit(old, in); err != nil {
		return err
	}
	if changesNothing(old, in) {
		d := *old
		d.Status = table.Updating
		c.answerTable("TableDescription", &d)
		return nil
	}
	if err := refuseManyOnline(in.GlobalSecondaryIndexUpdates); err != nil {
		return err
	}
	d := old.Clone()
	for _, change := range []func(*table.Descriptor, *wire.UpdateTableInput) error{
		c.changeBilling, c.changeIndexes, c.changeStream, c.changeClass, changeTheRest,
	} {
		if err := change(d, in); err != nil {
			return err
		}
	}
	replicas, err := replicaUpdates(in.ReplicaUpdates)
	if err != nil {
		return err
	}
	if d, err = c.backend.UpdateTable(c.ctx, &regionnode.UpdateTableRequest{Descriptor: *d, Replicas: replicas}); err != nil {
		return err
	}
	c.answerUpdate(old, d, in)
	return nil
}

// dropEmpty leaves an empty OnDemandThroughput or WarmThroughput out of an update
// of something else, as AWS does (DDB-TABLE-456). Alone, which AWS answers with
// InternalFailure, it is an update that changes nothing.
func dropEmpty(in *wire.UpdateTableInput) {
	others := in.BillingMode.Set || in.ProvisionedThroughput != nil || in.GlobalSecondaryIndexUpdates != nil ||
		in.StreamSpecification != nil || in.SSESpecification != nil || in.ReplicaUpdates != nil || in.TableClass.Set ||
		in.DeletionProtectionEnabled.Set
	if (others || in.OnDemandThroughput != nil) && in.WarmThroughput != nil && emptyWarm(in.WarmThroughput) {
		in.WarmThroughput = nil
	}
	if (others || in.WarmThroughput != nil) && in.OnDemandThroughput != nil && emptyDemand(in.OnDemandThroughput) {
		in.OnDemandThroughput = nil
	}
}

func emptyWarm(w *wire.WarmThroughput) bool {
	return !w.ReadUnitsPerSecond.Set && !w.WriteUnitsPerSecond.Set
}

func emptyDemand(o *wire.OnDemandThroughput) bool {
	return !o.MaxReadRequestUnits.Set && !o.MaxWriteRequestUnits.Set
}

// admit refuses an update of a table that is in the middle of something else.
// While it is UPDATING, its deletion protection may still be changed
// (DDB-TABLE-064).
func admit(d *table.Descriptor, in *wire.UpdateTableInput) error {
	switch {
	case d.Status == table.Active, d.Status == table.Updating && in.DeletionProtectionEnabled.Set:
		return nil
	case d.Status == table.Updating && in.ProvisionedThroughput != nil:
		return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: "+
			"Table IOPS are currently being updated. Table: %s", d.Name)
	}
	return inUse(d)
}

// changesNothing tells an update that AWS answers as if it were under way, and
// that changes nothing: the billing mode of an on-demand table, or the table
// class, as it is (DDB-TABLE-156, 177).
func changesNothing(d *table.Descriptor, in *wire.UpdateTableInput) bool {
	if in.TableClass.Set {
		held := d.Class
		if held == "" {
			held = "STANDARD"
		}
		return in.TableClass.Value == held
	}
	return in.BillingMode.Value == payPerRequest && d.BillingMode == payPerRequest && in.ProvisionedThroughput == nil &&
		in.OnDemandThroughput == nil && in.StreamSpecification == nil && len(in.GlobalSecondaryIndexUpdates) == 0
}

// checkUpdate refuses an update of nothing, and of what antipode does not have.
func checkUpdate(in *wire.UpdateTableInput) error {
	switch {
	case in.MultiRegionConsistency.Value == "STRONG":
		return apierr.Invalid("One or more parameter values were invalid: MultiRegionConsistency STRONG is not supported")
	case in.GlobalTableWitnessUpdates != nil:
		return apierr.Invalid("One or more parameter values were invalid: GlobalTableWitnessUpdates are not supported")
	case in.GlobalTableSettingsReplicationMode.Set:
		return apierr.Invalid("One or more parameter values were invalid: Global tables of several accounts are not supported")
	case in.DisassociationProtectionEnabled.Set:
		return apierr.Invalid("One or more parameter values were invalid: DisassociationProtectionEnabled is not supported")
	case in.VectorIndexUpdates != nil:
		return apierr.Invalid("One or more parameter values were invalid: VectorIndexUpdates are not supported")
	}
	if in.BillingMode.Set || in.ProvisionedThroughput != nil || len(in.GlobalSecondaryIndexUpdates) > 0 ||
		in.StreamSpecification != nil || in.SSESpecification != nil || in.ReplicaUpdates != nil || in.TableClass.Set ||
		in.DeletionProtectionEnabled.Set || in.OnDemandThroughput != nil || in.WarmThroughput != nil {
		if in.GlobalSecondaryIndexUpdates != nil && len(in.GlobalSecondaryIndexUpdates) == 0 {
			return apierr.Invalid("One or more parameter values were invalid: List of GlobalSecondaryIndexUpdates is empty")
		}
		if err := checkBillingUpdate(in); err != nil {
			return err
		}
		if err := checkAlone(in); err != nil {
			return err
		}
		return checkIndexUpdates(in.GlobalSecondaryIndexUpdates)
	}
	consistency := "MultiRegionConsistency, "
	if in.MultiRegionConsistency.Set {
		consistency = ""
	}
	return apierr.Invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "+
		"GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "+
		"%sDeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required", consistency)
}

// checkAlone refuses what UpdateTable does not change together. What is checked
// first is named first.
func checkAlone(in *wire.UpdateTableInput) error {
	billing, units := in.BillingMode.Set, in.ProvisionedThroughput != nil
	stream, demand, warm := in.StreamSpecification != nil, in.OnDemandThroughput != nil, in.WarmThroughput != nil
	encryption, class, protection := in.SSESpecification != nil, in.TableClass.Set, in.DeletionProtectionEnabled.Set
	replicas, indexes := in.ReplicaUpdates != nil, len(in.GlobalSecondaryIndexUpdates) > 0
	given := 0
	for _, set := range [10]bool{billing, units, stream, demand, warm, encryption, class, protection, replicas, indexes} {
		if set {
			given++
		}
	}
	if given < 2 {
		return nil
	}
	online := false
	for i := range in.GlobalSecondaryIndexUpdates {
		online = online || in.GlobalSecondaryIndexUpdates[i].Update == nil
	}
	iops := units || in.BillingMode.Value == provisioned
	why := ""
	switch {
	case encryption:
		why = "Server-Side Encryption modification must be the only operation in the request"
	case class:
		why = "TableClass modification must be the only operation in the request"
	case protection:
		why = "DeletionProtection modification must be the only operation in the request"
	case replicas:
		why = "Replica modification must be the only operation in the request"
	case warm && online:
		why = "Create global secondary index cannot be specified when updating WarmThroughput"
	case demand && given > 1 && !(billing && given == 2):
		why = "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"
	case warm:
		why = "WarmThroughput must be the only operation in the request"
	case stream && iops:
		why = "You cannot modify stream status while updating table IOPS"
	case online && iops:
		why = "You cannot create or delete index while updating table IOPS"
	case online && stream:
		why = "You cannot create or delete index while changing stream status"
	default:
		return nil
	}
	return apierr.Invalid("One or more parameter values were invalid: %s", why)
}

func checkBillingUpdate(in *wire.UpdateTableInput) error {
	if in.BillingMode.Value == payPerRequest && in.ProvisionedThroughput != nil {
		return apierr.Invalid("One or more parameter values were invalid: " +
			"ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST")
	}
	if in.BillingMode.Value == provisioned && in.ProvisionedThroughput == nil {
		return apierr.Invalid("One or more parameter values were invalid: " +
			"ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	}
	_, err := throughput(in.ProvisionedThroughput)
	return err
}

// changeBilling changes the billing mode and the table's provisioned capacity.
func (c *call) changeBilling(d *table.Descriptor, in *wire.UpdateTableInput) error {
	switch was := d.BillingMode; {
	case !in.BillingMode.Set || in.BillingMode.Value == was:
		return c.changeUnits(d, in)
	case in.BillingMode.Value == payPerRequest:
		c.switchToDemand(d)
		return nil
	default:
		return switchToUnits(d, in)
	}
}

// switchToDemand makes a provisioned table pay per request.
func (c *call) switchToDemand(d *table.Descriptor) {
	warm := func(x *table.WarmThroughput, t table.Throughput) *table.WarmThroughput {
		k := throughputSetting{billing: provisioned, units: t}
		held := k.raised(x)
		k.billing = payPerRequest
		return k.raised(held)
	}
	d.BillingMode, d.BillingChanged = payPerRequest, c.now.UnixMilli()
	d.Warm = warm(d.Warm, d.Throughput)
	d.Throughput.Read, d.Throughput.Write = 0, 0
	for i := range d.Globals {
		x := &d.Globals[i]
		x.Warm = warm(x.Warm, x.Throughput)
		c.setThroughput(&x.Throughput, table.Throughput{})
	}
}

// switchToUnits makes an on-demand table a provisioned one, which drops the
// bounds of on-demand requests and needs the units of each index too
// (DDB-TABLE-152, 153).
func switchToUnits(d *table.Descriptor, in *wire.UpdateTableInput) error {
	t, err := throughput(in.ProvisionedThroughput)
	if err != nil {
		return err
	}
	demand := throughputSetting{region: d.Region, billing: payPerRequest}
	if err := demand.checkUnits(t); err != nil {
		return err
	}
	d.BillingMode, d.OnDemand, d.Warm = provisioned, nil, demand.raised(d.Warm)
	d.Throughput.Read, d.Throughput.Write = t.Read, t.Write
	for i := range d.Globals {
		x := &d.Globals[i]
		if !hasUnits(in, x.Name) {
			return apierr.Invalid("One or more parameter values were invalid: ProvisionedThroughput must be specified for index: %s", x.Name)
		}
		x.OnDemand, x.Warm = nil, demand.raised(x.Warm)
	}
	return nil
}

// hasUnits tells whether an update gives an index its units, or deletes it.
func hasUnits(in *wire.UpdateTableInput, name string) bool {
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		if u.Update != nil && u.Update.IndexName.Value == name && u.Update.ProvisionedThroughput != nil ||
			u.Delete != nil && u.Delete.IndexName.Value == name {
			return true
		}
	}
	return false
}

// changeUnits changes what is provisioned for a table.
func (c *call) changeUnits(d *table.Descriptor, in *wire.UpdateTableInput) error {
	if in.ProvisionedThroughput == nil {
		return nil
	}
	if d.BillingMode == payPerRequest {
		return apierr.Invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits " +
			"can be specified when BillingMode is PAY_PER_REQUEST")
	}
	t, err := throughput(in.ProvisionedThroughput)
	if err != nil {
		return err
	}
	if t.Read == d.Throughput.Read && t.Write == d.Throughput.Write {
		return apierr.Invalid("The provisioned throughput for the table will not change. The requested value equals the "+
			"current value. Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			d.Throughput.Read, t.Read, d.Throughput.Write, t.Write)
	}
	k := throughputSetting{region: d.Region, billing: d.BillingMode, units: d.Throughput}
	if err := k.checkUnits(t); err != nil {
		return err
	}
	d.Warm = k.raised(d.Warm)
	if err := c.changeThroughput(&d.Throughput, t); err != nil {
		return err
	}
	k.units = d.Throughput
	d.Warm = k.raised(d.Warm)
	return nil
}

// changeStream turns the stream on or off. A stream that is turned on again is a
// new one.
func (c *call) changeStream(d *table.Descriptor, in *wire.UpdateTableInput) error {
	if in.StreamSpecification == nil {
		return nil
	}
	s, err := newStream(in.StreamSpecification, c.now, false)
	if err != nil {
		return err
	}
	on := d.Stream != nil && d.Stream.Enabled
	switch {
	case s != nil && on:
		return apierr.Invalid("Table already has an enabled stream: TableName: %s", d.Name)
	case s != nil:
		d.StartStream(s, c.now)
	case !on:
		return apierr.Invalid("Table has no stream to disable: TableName: %s", d.Name)
	default:
		d.Stream.Enabled = false
		d.Stream.Ended = c.now.UnixMilli()
	}
	return nil
}

func (c *call) changeClass(d *table.Descriptor, in *wire.UpdateTableInput) error {
	if in.TableClass.Set && in.TableClass.Value != d.Class {
		d.Class = in.TableClass.Value
		d.ClassChanged = c.now.UnixMilli()
	}
	return nil
}

// changeTheRest changes settings that are only reported, or take effect as they
// are written.
func changeTheRest(d *table.Descriptor, in *wire.UpdateTableInput) (err error) {
	if in.DeletionProtectionEnabled.Set {
		d.Protected = in.DeletionProtectionEnabled.Value
	}
	k := &throughputSetting{region: d.Region, billing: d.BillingMode, units: d.Throughput}
	if d.OnDemand, err = k.onDemand(in.OnDemandThroughput, d.OnDemand); err != nil {
		return err
	}
	if d.Warm, err = k.warm(in.WarmThroughput, d.Warm); err != nil {
		return err
	}
	if in.SSESpecification != nil {
		return changeEncryption(d, in.SSESpecification)
	}
	return nil
}

// changeEncryption refuses what is so already only in AWS's two cases
// (DDB-TABLE-082, 437).
func changeEncryption(d *table.Descriptor, in *wire.SSESpecification) (err error) {
	switch {
	case !in.Enabled.Value && d.Encryption == nil && !in.SSEType.Set:
		return apierr.Invalid("One or more parameter values were invalid: Table is already encrypted by default")
	case d.Encryption != nil && in.KMSMasterKeyId.Set && in.KMSMasterKeyId.Value == d.Encryption.Key:
		return apierr.Invalid("One or more parameter values were invalid: Table is already encrypted with given KMSMasterKeyId. " +
			"Use KMSMasterKeyId parameter if you want to change Master Key")
	}
	d.Encryption, err = encryption(in, d)
	return err
}
