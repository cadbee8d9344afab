package functions

import "antipode/functions/wire"

// listBackups finds none: antipode makes no backups yet.
func listBackups(c *call, _ *wire.ListBackupsInput) error {
	c.emptyList("BackupSummaries")
	return nil
}

// emptyList answers a list of what antipode has none of.
func (c *call) emptyList(member string) {
	c.out.BeginObject().Name(member).BeginArray().EndArray().EndObject()
}
