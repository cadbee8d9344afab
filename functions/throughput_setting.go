package functions

import (
	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// unlimited is what a member of OnDemandThroughput is without a bound; clearedNow
// is the same in the answer to the UpdateTable that cleared it, which says -1 once
// (DDB-TABLE-182).
const (
	unlimited  = -1
	clearedNow = -2
)

// throughputSetting checks and changes the capacity settings of a table, or of one of its
// global indexes, in AWS's words (DDB-TABLE-039, 059, 128, 154, 171, 178).
type throughputSetting struct {
	region  string
	billing string
	// index is the index's name, "" for the table.
	index string
	// made tells a CreateTable, or a new index, from a change.
	made bool
	// units is what is provisioned.
	units table.Throughput
}

func (c *throughputSetting) invalid(format string, args ...any) error {
	return apierr.Invalid("One or more parameter values were invalid: "+format, args...)
}

// of names what the capacity is for, as OnDemandThroughput's texts do.
func (c *throughputSetting) of() string {
	if c.index == "" {
		return " for table"
	}
	return " for index : " + c.index
}

// onDemand is held with what o sets; nil when no bound is left.
func (c *throughputSetting) onDemand(o *wire.OnDemandThroughput, held *table.OnDemand) (*table.OnDemand, error) {
	if o == nil {
		return held, nil
	}
	next := table.OnDemand{MaxRead: unlimited, MaxWrite: unlimited}
	if held != nil {
		next = *held
	}
	for _, m := range [2]struct {
		name, quota string
		given       wire.Opt[int64]
		to          *int64
	}{
		{"MaxReadRequestUnits", "TableMaxReadCapacityUnits", o.MaxReadRequestUnits, &next.MaxRead},
		{"MaxWriteRequestUnits", "TableMaxWriteCapacityUnits", o.MaxWriteRequestUnits, &next.MaxWrite},
	} {
		if !m.given.Set {
			continue
		}
		if err := c.checkBound(m.name, m.quota, m.given.Value); err != nil {
			return nil, err
		}
		*m.to = m.given.Value
	}
	if next.MaxRead == unlimited && next.MaxWrite == unlimited {
		return nil, nil
	}
	return &next, nil
}

func (c *throughputSetting) checkBound(name, quota string, value int64) error {
	switch {
	case c.billing != payPerRequest && c.made && c.index == "":
		return c.invalid("%s for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.", name)
	case c.billing != payPerRequest && c.made:
		return c.invalid("%s for OnDemandThroughput for index: %s cannot be specified when table BillingMode is PROVISIONED.", name, c.index)
	case c.billing != payPerRequest && c.index == "":
		return c.invalid("%s for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED", name)
	case c.billing != payPerRequest:
		return c.invalid("%s for OnDemandThroughput%s cannot be specified when the table BillingMode is PROVISIONED", name, c.of())
	case value < 1 && (value != unlimited || c.made):
		return c.invalid("Requested %s for OnDemandThroughput%s is outside of valid range", name, c.of())
	case value > tableMaxUnits:
		return c.above(name+" for OnDemandThroughput"+c.of(), quota)
	}
	return nil
}

// above refuses more than the account's quota of one table.
func (c *throughputSetting) above(what, quota string) error {
	return apierr.Newf(apierr.LimitExceeded, "Subscriber limit exceeded: Requested %s exceeds %s of the account in region %s",
		what, quota, c.region)
}

// floor is the least warm throughput that there can be: what AWS gives on-demand
// tables, or what is provisioned.
func (c *throughputSetting) floor() table.WarmThroughput {
	if c.billing == payPerRequest {
		return table.WarmThroughput{Read: onDemandWarmRead, Write: onDemandWarmWrite}
	}
	return table.WarmThroughput{Read: c.units.Read, Write: c.units.Write}
}

// warm is held with what w sets. It never gets less (DDB-TABLE-061).
func (c *throughputSetting) warm(w *wire.WarmThroughput, held *table.WarmThroughput) (*table.WarmThroughput, error) {
	if w == nil {
		return held, nil
	}
	least := c.floor()
	next := least
	if held != nil {
		next = table.WarmThroughput{Read: max(least.Read, held.Read), Write: max(least.Write, held.Write)}
	}
	least = next
	for _, m := range [2]struct {
		name, units, quota string
		given              wire.Opt[int64]
		least              int64
		to                 *int64
	}{
		{"ReadUnitsPerSecond", "ReadCapacityUnits", "TableMaxReadCapacityUnits", w.ReadUnitsPerSecond, least.Read, &next.Read},
		{"WriteUnitsPerSecond", "WriteCapacityUnits", "TableMaxWriteCapacityUnits", w.WriteUnitsPerSecond, least.Write, &next.Write},
	} {
		if !m.given.Set {
			continue
		}
		what := m.name + " for WarmThroughput for table"
		if c.index != "" {
			what = m.name + " for WarmThroughput for index " + c.index
		}
		switch {
		case m.given.Value >= m.least && m.given.Value <= max(tableMaxUnits, m.least):
			*m.to = m.given.Value
		case m.given.Value > m.least:
			return nil, c.above(what, m.quota)
		case !c.made:
			return nil, c.invalid("Requested %s is lower than current WarmThroughput, decreasing WarmThroughput is not supported", what)
		case c.billing == payPerRequest:
			return nil, c.invalid("Requested %s is lower than initial throughput for OnDemand. See: https://docs.aws.amazon.com/"+
				"amazondynamodb/latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial", what)
		default:
			return nil, c.invalid("Requested %s is lower than %s of ProvisionedThroughput", what, m.units)
		}
	}
	return &next, nil
}

// checkUnits refuses provisioned units above the account's quota of one table or
// index.
func (c *throughputSetting) checkUnits(t table.Throughput) error {
	of, which := "", "table"
	if c.index != "" {
		of, which = " for index "+c.index, "index"
	}
	for _, m := range [2]struct {
		name  string
		value int64
	}{{"ReadCapacityUnits", t.Read}, {"WriteCapacityUnits", t.Write}} {
		if m.value > tableMaxUnits {
			return apierr.Newf(apierr.LimitExceeded, "The requested %s%s, %d, is above the per %s maximum for the account in %s. "+
				"Per %[4]s maximum: %[6]d. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
				m.name, of, m.value, which, c.region, tableMaxUnits)
		}
	}
	return nil
}

// raised keeps the highest units that were ever provisioned as warm throughput.
func (c *throughputSetting) raised(held *table.WarmThroughput) *table.WarmThroughput {
	least := c.floor()
	if held == nil {
		return &least
	}
	return &table.WarmThroughput{Read: max(held.Read, least.Read), Write: max(held.Write, least.Write), Status: held.Status}
}
