package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
)

// The operations of global tables of version 2017.11.29. Neither AWS makes such
// tables any more nor antipode: there is none to find.

func createGlobalTable(*call, *wire.CreateGlobalTableInput) error { return errLegacyGlobal() }

func updateGlobalTable(_ *call, in *wire.UpdateGlobalTableInput) error {
	for i := range in.ReplicaUpdates {
		if in.ReplicaUpdates[i].Create != nil {
			return errLegacyGlobal()
		}
	}
	return noGlobalTable(in.GlobalTableName.Value)
}

func describeGlobalTable(_ *call, in *wire.DescribeGlobalTableInput) error {
	return noGlobalTable(in.GlobalTableName.Value)
}

func describeGlobalTableSettings(_ *call, in *wire.DescribeGlobalTableSettingsInput) error {
	return noGlobalTable(in.GlobalTableName.Value)
}

func updateGlobalTableSettings(_ *call, in *wire.UpdateGlobalTableSettingsInput) error {
	return noGlobalTable(in.GlobalTableName.Value)
}

func listGlobalTables(c *call, _ *wire.ListGlobalTablesInput) error {
	c.out.BeginObject().Name("GlobalTables").BeginArray().EndArray().EndObject()
	return nil
}

func errLegacyGlobal() error {
	return apierr.Invalid("One or more parameter values were invalid: DynamoDB global tables version 2017.11.29 is not " +
		"supported. We recommend using DynamoDB global tables version 2019.11.21, instead of version 2017.11.29 (Legacy).")
}

func noGlobalTable(name string) error {
	return apierr.Newf(apierr.GlobalTableNotFound, "Global table with name: '%s' does not exist.", name)
}
