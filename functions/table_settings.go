package functions

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"antipode/functions/wire"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

const provisioned = "PROVISIONED"

// throughput turns ProvisionedThroughput into the descriptor's form; none is
// zero.
func throughput(p *wire.ProvisionedThroughput) (table.Throughput, error) {
	if p == nil {
		return table.Throughput{}, nil
	}
	t := table.Throughput{Read: p.ReadCapacityUnits.Value, Write: p.WriteCapacityUnits.Value}
	if t.Read > maxUnits {
		return t, apierr.Invalid("Given value %d for ReadCapacityUnits is out of bounds", t.Read)
	}
	if t.Write > maxUnits {
		return t, apierr.Invalid("Given value %d for WriteCapacityUnits is out of bounds", t.Write)
	}
	return t, nil
}

// checkBilling holds a billing mode against the provisioned capacity that came
// with it.
func checkBilling(mode string, p *wire.ProvisionedThroughput) error {
	switch {
	case mode == payPerRequest && p != nil:
		return apierr.Invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits " +
			"can be specified when BillingMode is PAY_PER_REQUEST")
	case mode == provisioned && p == nil:
		return apierr.Invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits " +
			"must both be specified when BillingMode is PROVISIONED")
	}
	return nil
}

func onDemand(o *wire.OnDemandThroughput) *table.OnDemand {
	if o == nil {
		return nil
	}
	return &table.OnDemand{MaxRead: o.MaxReadRequestUnits.Or(-1), MaxWrite: o.MaxWriteRequestUnits.Or(-1)}
}

func warmThroughput(w *wire.WarmThroughput) *table.WarmThroughput {
	if w == nil {
		return nil
	}
	return &table.WarmThroughput{Read: w.ReadUnitsPerSecond.Value, Write: w.WriteUnitsPerSecond.Value}
}

// newStream makes the stream that a StreamSpecification turns on. Its label is
// the time at which that happened.
func newStream(s *wire.StreamSpecification, now time.Time) (*table.Stream, error) {
	if !s.StreamEnabled.Value {
		if s.StreamViewType.Set {
			return nil, apierr.Invalid("One or more parameter values were invalid: " +
				"Table is being created with a stream disabled, UpdateViewType should not be specified")
		}
		return nil, nil
	}
	if !s.StreamViewType.Set {
		return nil, apierr.Invalid("One or more parameter values were invalid: " +
			"StreamViewType must be specified when StreamEnabled is true")
	}
	return &table.Stream{
		Enabled: true,
		View:    s.StreamViewType.Value,
		Label:   now.UTC().Format("2006-01-02T15:04:05.000"),
	}, nil
}

// encryption turns SSESpecification into the description that tables report.
func encryption(s *wire.SSESpecification, d *table.Descriptor) (*table.Encryption, error) {
	if s == nil {
		return nil, nil
	}
	if !s.Enabled.Value {
		if s.SSEType.Set || s.KMSMasterKeyId.Set {
			return nil, apierr.Invalid("One or more parameter values were invalid: " +
				"SSEType and KMSMasterKeyId cannot be specified when Enabled is false")
		}
		return nil, nil
	}
	if s.SSEType.Value == "AES256" {
		return nil, apierr.Invalid("One or more parameter values were invalid: SSEType AES256 is not supported")
	}
	key := s.KMSMasterKeyId.Or("arn:aws:kms:" + d.Region + ":" + d.Account + ":alias/aws/dynamodb")
	return &table.Encryption{Enabled: true, Type: "KMS", Key: key}, nil
}

// tagList turns Tags into the descriptor's form.
func tagList(in []wire.Tag) ([]table.Tag, error) {
	tags := make([]table.Tag, 0, len(in))
	for _, t := range in {
		if strings.HasPrefix(t.Key.Value, "aws:") {
			return nil, apierr.Invalid("One or more parameter values were invalid: Tag keys starting with aws: are reserved: %s", t.Key.Value)
		}
		for _, text := range [2]string{t.Key.Value, t.Value.Value} {
			if strings.ContainsFunc(text, noTagRune) {
				return nil, apierr.Invalid("One or more parameter values were invalid: Tags consist of letters, digits, spaces and + - = . _ : / @: %s", text)
			}
		}
		tags = append(tags, table.Tag{Key: t.Key.Value, Value: t.Value.Value})
	}
	return sortTags(tags)
}

// noTagRune tells the characters that no tag may have.
func noTagRune(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r)
}

// sortTags sorts a table's tags by key and refuses what no table can have.
func sortTags(tags []table.Tag) ([]table.Tag, error) {
	slices.SortFunc(tags, func(a, b table.Tag) int { return cmp.Compare(a.Key, b.Key) })
	for i := 1; i < len(tags); i++ {
		if tags[i].Key == tags[i-1].Key {
			return nil, apierr.Invalid("One or more parameter values were invalid: Duplicate tag key: %s", tags[i].Key)
		}
	}
	if len(tags) > table.MaxTags {
		return nil, apierr.Invalid("One or more parameter values were invalid: Too many tags: a table takes at most %d", table.MaxTags)
	}
	return tags, nil
}
