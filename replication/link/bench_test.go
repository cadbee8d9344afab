package link

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"antipode/replication"
	"antipode/replication/hlc"
)

// An arrival is a Transport that decodes what it is sent, after a delay in each
// direction, and counts records.
type arrival struct {
	delay   time.Duration
	records atomic.Int64
	news    chan struct{}
}

func (a *arrival) Send(_ context.Context, _ replication.Region, b *Batch) (*Ack, error) {
	time.Sleep(a.delay)
	back, err := DecodeBatch(b.Append(nil))
	if err != nil {
		return nil, err
	}
	a.records.Add(int64(len(back.Records)))
	select {
	case a.news <- struct{}{}:
	default:
	}
	time.Sleep(a.delay)
	return &Ack{Session: b.Session, Sequence: b.Sequence}, nil
}

func (a *arrival) await(n int64) {
	for a.records.Load() < n {
		<-a.news
	}
}

func bench(b *testing.B, delay time.Duration) (*memlog, *arrival) {
	a := &arrival{delay: delay, news: make(chan struct{}, 1)}
	g, err := NewGroup(Config{Region: here, Transport: a})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Close)
	l := newMemlog(SourceID{"table", 1})
	l.position[there] = l.at(0)
	g.Set([]LinkSpec{{l, there}})
	return l, a
}

func kilobyte() replication.Record {
	return replication.Record{
		Key: make([]byte, 24), New: make([]byte, 1024),
		Version: replication.Version{Time: hlc.Timestamp{Wall: time.Now().UnixNano()}, Region: here},
	}
}

// One record at a time, from the log to the other side: what a link adds to the
// line's own delay.
func BenchmarkOneRecord(b *testing.B) {
	l, a := bench(b, 0)
	n := int64(0)
	for b.Loop() {
		n++
		l.append(kilobyte())
		a.await(n)
	}
}

// As many records as a line of 80 ms round trip carries.
func BenchmarkStream(b *testing.B) {
	l, a := bench(b, 40*time.Millisecond)
	recs := make([]replication.Record, b.N)
	for i := range recs {
		recs[i] = kilobyte()
	}
	b.SetBytes(int64(replication.RecordSize(&recs[0])))
	b.ResetTimer()
	l.append(recs...)
	a.await(int64(b.N))
}
