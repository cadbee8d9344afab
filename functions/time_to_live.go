package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func updateTimeToLive(c *call, in *wire.UpdateTimeToLiveInput) error {
	old, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	if old.Status == table.Creating || old.Status == table.Deleting {
		return inUse(old)
	}
	spec := in.TimeToLiveSpecification
	enabled, name := spec.Enabled.Value, spec.AttributeName.Value
	on := old.TTL != nil && old.TTL.Status == "ENABLED"
	switch {
	case !enabled && !on:
		return apierr.Invalid("TimeToLive is already disabled")
	case on && old.TTL.Attribute != name:
		return apierr.Invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", old.TTL.Attribute)
	case enabled && on:
		return apierr.Invalid("TimeToLive is already enabled")
	}
	d := old.Clone()
	d.TTL = &table.TTL{Attribute: name, Status: "DISABLED", Changed: c.now.UnixMilli()}
	if enabled {
		d.TTL.Status = "ENABLED"
	}
	if _, err := c.backend.UpdateTable(c.ctx, &regionnode.UpdateTableRequest{Descriptor: *d}); err != nil {
		return err
	}
	c.out.BeginObject().Name("TimeToLiveSpecification").BeginObject()
	c.out.Name("Enabled").Bool(enabled).Name("AttributeName").String(name)
	c.out.EndObject().EndObject()
	return nil
}

func describeTimeToLive(c *call, in *wire.DescribeTimeToLiveInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	if d.Status == table.Creating || d.Status == table.Deleting {
		return apierr.Invalid("Cannot describe time to live while table is in %s state: Current table state is %[1]s", d.Status)
	}
	status := "DISABLED"
	if d.TTL != nil {
		status = d.TTL.Status
	}
	c.out.BeginObject().Name("TimeToLiveDescription").BeginObject()
	c.out.Name("TimeToLiveStatus").String(status)
	if d.TTL != nil && status != "DISABLED" {
		c.out.Name("AttributeName").String(d.TTL.Attribute)
	}
	c.out.EndObject().EndObject()
	return nil
}
