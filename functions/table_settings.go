package functions

import (
	"time"

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

// newStream makes the stream that a StreamSpecification turns on. Its label is
// the time at which that happened. created tells a CreateTable.
func newStream(s *wire.StreamSpecification, now time.Time, created bool) (*table.Stream, error) {
	if on := s.StreamEnabled.Value; on != s.StreamViewType.Set {
		why := "If stream is being disabled, then UpdateViewType must not be specified"
		switch {
		case created && on:
			why = "Table is being created with a stream enabled, UpdateViewType is required"
		case created:
			why = "Table is being created with a stream disabled, UpdateViewType should not be specified"
		case on:
			why = "If stream is being enabled then UpdateViewType is required"
		}
		return nil, apierr.Invalid("One or more parameter values were invalid: %s", why)
	}
	if !s.StreamEnabled.Value {
		return nil, nil
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
	if !s.Enabled.Or(s.SSEType.Set) {
		for _, m := range [2]struct {
			name string
			set  bool
		}{{"SSEType", s.SSEType.Set}, {"KMSMasterKeyId", s.KMSMasterKeyId.Set}} {
			if m.set {
				return nil, apierr.Invalid("One or more parameter values were invalid: "+
					"%s can not be specified if Enabled is false", m.name)
			}
		}
		return nil, nil
	}
	if s.SSEType.Value == "AES256" {
		return nil, apierr.Invalid("One or more parameter values were invalid: SSEType AES256 is not supported")
	}
	if s.KMSMasterKeyId.Set && !s.SSEType.Set {
		return nil, apierr.Invalid("One or more parameter values were invalid: SSEType KMS is required if KMSMasterKeyId is specified")
	}
	key := s.KMSMasterKeyId.Or("arn:aws:kms:" + d.Region + ":" + d.Account + ":alias/aws/dynamodb")
	return &table.Encryption{Enabled: true, Type: "KMS", Key: key}, nil
}
