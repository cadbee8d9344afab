package liveness

import (
	"encoding/binary"
	"errors"
	"time"

	"antipode/regionnode/table"
)

// Beat is what one node tells another.
type Beat struct {
	From, To table.NodeID
	// Epoch counts From's starts; Sent is From's clock as it sends.
	Epoch uint64
	Sent  time.Duration
	// HeardEpoch and Heard are Epoch and Sent of To's newest beat that From has;
	// an epoch of 0 says that it has none.
	HeardEpoch uint64
	Heard      time.Duration
	// Support names the support that From gives To, 0 for none. It is given for
	// HeardEpoch and lasts for the support time since From received To's beat that
	// was sent at Promised. Support that ended comes back under another, higher
	// name, over restarts too.
	Support  uint64
	Promised time.Duration
	// Supports are all whom From supports, To left out or not.
	Supports []table.NodeID
	// Leaving: From leads nothing any more and is about to end.
	Leaving bool
}

// beatFormat is the first byte of an encoded Beat.
const beatFormat byte = 1

// maxSupports bounds a decoded Beat.
const maxSupports = 4096

// Append encodes b behind dst.
func (b *Beat) Append(dst []byte) []byte {
	leaving := byte(0)
	if b.Leaving {
		leaving = 1
	}
	dst = append(dst, beatFormat, leaving)
	for _, v := range []uint64{
		uint64(b.From), uint64(b.To), b.Epoch, uint64(b.Sent), b.HeardEpoch, uint64(b.Heard), b.Support, uint64(b.Promised), uint64(len(b.Supports)),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, n := range b.Supports {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

var errBeat = errors.New("liveness: broken beat")

// DecodeBeat reads what Append wrote; bytes that follow are ignored, so that
// fields can be added.
func DecodeBeat(raw []byte) (*Beat, error) {
	if len(raw) < 2 || raw[0] != beatFormat {
		return nil, errBeat
	}
	leaving, raw := raw[1] == 1, raw[2:]
	next := func() uint64 {
		v, n := binary.Uvarint(raw)
		if n <= 0 {
			raw = nil
			return 0
		}
		raw = raw[n:]
		return v
	}
	b := &Beat{
		From: table.NodeID(next()), To: table.NodeID(next()), Epoch: next(), Sent: time.Duration(next()),
		HeardEpoch: next(), Heard: time.Duration(next()), Support: next(), Promised: time.Duration(next()), Leaving: leaving,
	}
	if raw == nil {
		return nil, errBeat
	}
	n := next()
	if raw == nil || n > maxSupports {
		return nil, errBeat
	}
	for range n {
		if len(raw) == 0 {
			return nil, errBeat
		}
		b.Supports = append(b.Supports, table.NodeID(next()))
	}
	return b, nil
}
