package functions

import (
	"slices"
	"strings"

	"antipode/functions/wire"
	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// maxTagRaces bounds how often a change of tags is made anew because another
// change of the table came between.
const maxTagRaces = 8

func tagResource(c *call, in *wire.TagResourceInput) error {
	if len(in.Tags) == 0 {
		return apierr.Invalid("Atleast one Tag needs to be provided as Input.") // AWS's spelling
	}
	given, err := tagList(in.Tags)
	if err != nil {
		return err
	}
	return c.changeTags(in.ResourceArn.Value, func(tags []table.Tag) ([]table.Tag, error) {
		added := slices.Clone(given)
		for _, t := range tags {
			if !slices.ContainsFunc(in.Tags, func(n wire.Tag) bool { return n.Key.Value == t.Key }) {
				added = append(added, t)
			}
		}
		return sortTags(added)
	})
}

func untagResource(c *call, in *wire.UntagResourceInput) error {
	if len(in.TagKeys) == 0 {
		return apierr.Invalid("Atleast one Tag Key needs to be provided as Input.") // AWS's spelling
	}
	return c.changeTags(in.ResourceArn.Value, func(tags []table.Tag) ([]table.Tag, error) {
		return slices.DeleteFunc(slices.Clone(tags), func(t table.Tag) bool {
			return slices.Contains(in.TagKeys, t.Key)
		}), nil
	})
}

func listTagsOfResource(c *call, in *wire.ListTagsOfResourceInput) error {
	d, err := c.taggedTable(in.ResourceArn.Value)
	if apierr.Is(err, apierr.ResourceNotFound) {
		// A reader of tags does not learn whether somebody else's table exists.
		return apierr.Newf(apierr.AccessDenied, "The caller is not authorized to perform: dynamodb:ListTagsOfResource "+
			"on resource: %s because no resource-based policy allows the dynamodb:ListTagsOfResource action", in.ResourceArn.Value)
	}
	if err != nil {
		return err
	}
	c.out.BeginObject().Name("Tags").BeginArray()
	for _, t := range d.Tags {
		c.out.BeginObject().Name("Key").String(t.Key).Name("Value").String(t.Value).EndObject()
	}
	c.out.EndArray().EndObject()
	return nil
}

// changeTags replaces a table's tags. The answer has no body.
func (c *call) changeTags(arn string, change func([]table.Tag) ([]table.Tag, error)) error {
	for race := 0; ; race++ {
		old, err := c.taggedTable(arn)
		if err != nil {
			return err
		}
		d := old.Clone()
		if d.Tags, err = change(old.Tags); err != nil {
			return err
		}
		_, err = c.backend.UpdateTable(c.ctx, &regionnode.UpdateTableRequest{Descriptor: *d})
		if err == nil || !apierr.Is(err, apierr.ResourceInUse) || race == maxTagRaces {
			return err
		}
	}
}

// taggedTable finds the table of a ResourceArn.
func (c *call) taggedTable(arn string) (*table.Descriptor, error) {
	name := tableName(arn)
	if !strings.HasPrefix(arn, "arn:") {
		return nil, apierr.Invalid("ARNs must start with 'arn:': %s", arn)
	}
	if name == arn {
		return nil, apierr.Invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	d, err := c.backend.DescribeTable(c.ctx, name)
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil, apierr.Newf(apierr.ResourceNotFound, "Requested resource not found: ResourcArn: %s not found", arn)
	}
	return d, err
}
