package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// describeTableReplicaAutoScaling lists a global table's replicas: nothing scales
// them.
func describeTableReplicaAutoScaling(c *call, in *wire.DescribeTableReplicaAutoScalingInput) error {
	name, err := c.tableName(in.TableName.Value)
	if err != nil {
		return err
	}
	d, err := c.backend.DescribeTable(c.ctx, name)
	if err == nil && d.Global == nil || apierr.Is(err, apierr.ResourceNotFound) {
		return apierr.Newf(apierr.ResourceNotFound, "Global table with name: '%s' does not exist.", name)
	}
	if err != nil {
		return err
	}
	w := c.out.BeginObject().Name("TableAutoScalingDescription").BeginObject()
	w.Name("TableName").String(d.Name).Name("TableStatus").String(string(d.Status))
	w.Name("Replicas").BeginArray()
	for i := range d.Global.Replicas {
		writeReplicaScaling(w, d.Global.Replicas[i].Region, d.Global.Replicas[i].Status)
	}
	w.EndArray().EndObject().EndObject()
	return nil
}

func writeReplicaScaling(w *wire.Writer, region string, status table.Status) {
	w.BeginObject().Name("RegionName").String(region)
	w.Name("GlobalSecondaryIndexes").BeginArray().EndArray()
	w.Name("ReplicaStatus").String(string(status)).EndObject()
}
