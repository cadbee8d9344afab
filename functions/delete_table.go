package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

func deleteTable(c *call, in *wire.DeleteTableInput) error {
	d, err := c.describe(in.TableName.Value)
	if err != nil {
		return err
	}
	if d.Protected {
		return apierr.Invalid("Resource cannot be deleted as it is currently protected against deletion. " +
			"Disable deletion protection first.")
	}
	switch d.Status {
	case table.Creating:
		return inUse(d)
	case table.Updating:
		return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: "+
			"Table: %s is in the process of being updated.", d.Name)
	}
	if d, err = c.backend.DeleteTable(c.ctx, d.Name); err != nil {
		return err
	}
	c.out.BeginObject().Name("TableDescription")
	writeDeleted(c.out, d)
	c.out.EndObject()
	return nil
}

// inUse refuses a change of a table that is in the middle of another.
func inUse(d *table.Descriptor) error {
	doing := map[table.Status]string{
		table.Creating: "created", table.Updating: "updated", table.Deleting: "deleted",
	}[d.Status]
	return apierr.Newf(apierr.ResourceInUse, "Attempt to change a resource which is still in use: Table is being %s: %s", doing, d.Name)
}
