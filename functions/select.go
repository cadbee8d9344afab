package functions

import (
	"slices"

	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/table"
)

// The values of Select.
const (
	selectAll       = "ALL_ATTRIBUTES"
	selectProjected = "ALL_PROJECTED_ATTRIBUTES"
	selectSpecific  = "SPECIFIC_ATTRIBUTES"
	selectCount     = "COUNT"
)

// checkSelect holds Select against the other parameters of a Query or Scan.
// chooser is the parameter that chooses attributes, "" when there is none.
func checkSelect(sel, chooser string, onIndex bool) error {
	switch {
	case chooser != "" && sel == selectCount:
		return apierr.Invalid("Cannot specify the %s when choosing to get only the Count", chooser)
	case chooser != "" && sel != "" && sel != selectSpecific:
		return apierr.Invalid("Cannot specify the %s when choosing to get %s", chooser, sel)
	case sel == selectSpecific && chooser == "":
		return apierr.Invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case sel == selectProjected && !onIndex:
		return apierr.Invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return nil
}

// chooser names the parameter that chooses attributes.
func chooser(projectionExpression bool, attributesToGet []string) string {
	switch {
	case projectionExpression:
		return "ProjectionExpression"
	case attributesToGet != nil:
		return "AttributesToGet"
	}
	return ""
}

// checkIndexRead refuses attributes that a global index does not hold. It sets
// Fetch for a local index that must look at the table's items.
func (rd *read) checkIndexRead(sel string) error {
	x := rd.index
	if x == nil || x.Projection.Type == "ALL" {
		return nil
	}
	missing := rd.unprojected()
	if x.IsLocal() {
		rd.r.Fetch = sel == selectAll || len(missing) > 0
		return nil
	}
	if sel == selectAll {
		return apierr.Invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported "+
			"for global secondary index %s because its projection type is not ALL", x.Name)
	}
	if len(missing) > 0 {
		return apierr.Invalid("One or more parameter values were invalid: Global secondary index %s does not project %v",
			x.Name, missing)
	}
	return nil
}

// unprojected lists the attributes that the read chooses or filters by and that
// its index does not hold.
func (rd *read) unprojected() []string {
	var missing []string
	for _, names := range [2][]string{attributesOf(rd.r.Projection), conditionAttributes(rd.r.Filter)} {
		for _, name := range names {
			if !projects(rd.d, rd.index, name) && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

func attributesOf(p *expr.Projection) []string {
	if p == nil {
		return nil
	}
	return p.Attributes()
}

func conditionAttributes(c *expr.Condition) []string {
	if c == nil {
		return nil
	}
	return c.Attributes()
}

// projects tells whether an index holds an attribute: keys always.
func projects(d *table.Descriptor, x *table.Index, name string) bool {
	return x.Projection.Type == "ALL" ||
		x.Key.Has(name) || d.Key.Has(name) || slices.Contains(x.Projection.NonKey, name)
}
