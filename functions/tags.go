package functions

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	if len(in.TagKeys) > table.MaxTags {
		return errTagCount()
	}
	for _, key := range in.TagKeys {
		if err := checkTagKey(key); err != nil {
			return err
		}
	}
	return c.changeTags(in.ResourceArn.Value, func(tags []table.Tag) ([]table.Tag, error) {
		return slices.DeleteFunc(slices.Clone(tags), func(t table.Tag) bool {
			return slices.Contains(in.TagKeys, t.Key)
		}), nil
	})
}

// nobody is an account that no caller of AWS has, and the one of a cluster that
// is told none.
const nobody = "000000000000"

func listTagsOfResource(c *call, in *wire.ListTagsOfResourceInput) error {
	d, err := c.taggedTable(in.ResourceArn.Value)
	if apierr.Is(err, apierr.ResourceNotFound) && strings.Contains(in.ResourceArn.Value, ":"+nobody+":") {
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
	name, err := c.resourceTable(arn, "Invalid TableArn: Invalid ResourceArn provided as input %s")
	if err != nil {
		return nil, err
	}
	d, err := c.backend.DescribeTable(c.ctx, name)
	if apierr.Is(err, apierr.ResourceNotFound) {
		return nil, apierr.Newf(apierr.ResourceNotFound, "Requested resource not found: ResourceArn: %s not found", arn)
	}
	return d, err
}

// tagList turns Tags into the descriptor's form.
func tagList(in []wire.Tag) ([]table.Tag, error) {
	tags := make([]table.Tag, 0, len(in))
	for _, t := range in {
		if err := checkTagKey(t.Key.Or("null")); err != nil {
			return nil, err
		}
		value := t.Value.Or("null")
		if !t.Key.Set {
			return nil, errTagKey("null")
		}
		if !t.Value.Set || utf8.RuneCountInString(value) > maxTagValue || strings.ContainsFunc(value, noTagRune) {
			return nil, apierr.Invalid("The Tag Value provided is invalid, Value: %s", value)
		}
		if slices.ContainsFunc(tags, func(o table.Tag) bool { return o.Key == t.Key.Value }) {
			return nil, apierr.Invalid("Duplicate Tag Keys provided as input: Duplicate Tag Key found %s", t.Key.Value)
		}
		tags = append(tags, table.Tag{Key: t.Key.Value, Value: value})
	}
	return sortTags(tags)
}

// Bounds of a tag in characters, and of all tags of a table in bytes.
const (
	maxTagKey   = 128
	maxTagValue = 256
	maxTagBytes = 10240
)

func checkTagKey(key string) error {
	if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
		return apierr.Invalid("Tag Key cannot be prefixed with aws:, Key: %s", key)
	}
	if key == "" || utf8.RuneCountInString(key) > maxTagKey || strings.ContainsFunc(key, noTagRune) {
		return errTagKey(key)
	}
	return nil
}

func errTagKey(key string) error {
	return apierr.Invalid("The Tag Key provided is invalid, Key: %s", key)
}

func errTagCount() error {
	return apierr.Invalid("Number of Tags exceed the current limit for the provided ResourceArn")
}

// noTagRune tells the characters that no tag may have.
func noTagRune(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r)
}

// sortTags sorts a table's tags by key and refuses more than a table can have.
func sortTags(tags []table.Tag) ([]table.Tag, error) {
	slices.SortFunc(tags, func(a, b table.Tag) int { return cmp.Compare(a.Key, b.Key) })
	if len(tags) > table.MaxTags {
		return nil, errTagCount()
	}
	size := 0
	for _, t := range tags {
		size += len(t.Key) + len(t.Value)
	}
	if size > maxTagBytes {
		return nil, apierr.Invalid("Tag set size %d bytes is above max size limit of %d bytes", size, maxTagBytes)
	}
	return tags, nil
}
