package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"antipode/regionnode/internal/keys"
)

// choose finds the right child's first hash.
func (s *splitting) choose(ctx context.Context) (uint64, error) {
	spec := s.view.spec
	if s.r.At != 0 {
		return s.r.At, nil
	}
	if s.r.ByLoad {
		at, known, err := s.p.load.choose(spec)
		if known || err != nil {
			return at, err
		}
	}
	return s.chooseBySize(ctx)
}

// chooseBySize finds the boundary between two hashes that divides the bytes of
// the items best; the middle of the hashes when there are no items.
func (s *splitting) chooseBySize(ctx context.Context) (uint64, error) {
	spec := s.view.spec
	total := s.p.Status().Bytes
	it, err := s.p.host.cfg.Store.Iterate(keys.DataSpan(spec.Table, 0, spec.hashes()))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	m := middle{half: total / 2}
	pace := newPace(s.p.host.cfg.SplitScanBytes)
	for ok := it.First(); ok; ok = it.Next() {
		key, _ := keys.DataKey(it.Key())
		image, err := storedItem(it.Value())
		if err != nil || len(key) < 8 {
			return 0, fmt.Errorf("%s: %w", keys.Print(it.Key()), errBroken)
		}
		if len(image) > 0 && m.add(binary.BigEndian.Uint64(key), int64(image.Size())) {
			break
		}
		if err := s.passed(ctx, pace, len(it.Key())+len(it.Value())); err != nil {
			return 0, err
		}
	}
	if err := it.Error(); err != nil {
		return 0, err
	}
	if m.sum == 0 {
		return spec.centre()
	}
	if spec.inside(m.best) {
		return m.best, nil
	}
	return 0, never("all of it is under one hash")
}

// centre is the middle of a partition's hashes.
func (s *Spec) centre() (uint64, error) {
	at := s.Start + (s.End-1-s.Start)/2 + 1 // End-1 is the last hash, also for End 0
	if !s.inside(at) {
		return 0, never("it holds one hash")
	}
	return at, nil
}

// middle finds the boundary between two hashes that is next to half of a sum.
// Hashes come in order.
type middle struct {
	half int64
	// sum of all that came, and the hash that came last.
	sum  int64
	last uint64
	// best is the first hash above the best boundary so far, 0 for none, and off
	// how far that is from the half.
	best uint64
	off  int64
}

// add takes in what one key under a hash adds; true when no better boundary can
// come.
func (m *middle) add(hash uint64, n int64) (done bool) {
	if hash != m.last && m.sum > 0 {
		// The boundary below this hash.
		off := m.sum - m.half
		if off < 0 {
			off = -off
		}
		if m.best == 0 || off < m.off {
			m.best, m.off = hash, off
		}
		if m.sum >= m.half {
			return true
		}
	}
	m.last = hash
	m.sum += n
	return false
}

// load samples the hashes of the requests that a partition serves.
type load struct {
	requests atomic.Uint64
	mu       sync.Mutex
	// hashes of the last of every sampleEvery requests.
	hashes []uint64
	next   int
}

const (
	// sampleEvery is of how many requests one is sampled.
	sampleEvery = 8
	// maxSamples are kept, and minSamples needed to choose by them.
	maxSamples, minSamples = 512, 64
	// hotShare is which part of the requests the busier child may get, at most, for
	// a split to be worth it.
	hotShare = 0.9
)

// noteRequest counts a request for a key, of which only the hash matters.
func (p *Partition) noteRequest(key []byte) {
	if p.load.requests.Add(1)%sampleEvery != 0 {
		return
	}
	p.host.attention.touch(p)
	p.load.sample(key)
}

// sample keeps a key's hash.
func (l *load) sample(key []byte) {
	if len(key) < 8 {
		return
	}
	hash := binary.BigEndian.Uint64(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.hashes) < maxSamples {
		l.hashes = append(l.hashes, hash)
		return
	}
	l.hashes[l.next] = hash
	l.next = (l.next + 1) % maxSamples
}

// choose finds the boundary that divides the sampled requests best; known is
// false when there are too few.
func (l *load) choose(s *Spec) (at uint64, known bool, err error) {
	l.mu.Lock()
	hashes := slices.DeleteFunc(slices.Clone(l.hashes), func(h uint64) bool { return h < s.Start || s.End != 0 && h >= s.End })
	l.mu.Unlock()
	if len(hashes) < minSamples {
		return 0, false, nil
	}
	slices.Sort(hashes)
	m := middle{half: int64(len(hashes) / 2)}
	for _, h := range hashes {
		if m.add(h, 1) {
			break
		}
	}
	if m.best == 0 || !s.inside(m.best) || float64(m.half+m.off) > hotShare*float64(len(hashes)) {
		return 0, true, never("nearly all requests are for one hash")
	}
	return m.best, true, nil
}
