package chaos

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// network carries what nodes say to one another through proxies, one before each
// node, and can cut, slow and lose it in each direction between two nodes. What
// others say to a node, and gossip, it leaves alone.
type network struct {
	mu      sync.Mutex
	changed chan struct{} // closed when the rules change
	rules   map[direction]rule
	random  *rand.Rand
	closing bool
	ends    map[io.Closer]bool
	running sync.WaitGroup
}

// direction is from one node to another, by name.
type direction struct{ from, to string }

// rule is what happens to bytes on their way. A cut holds them back until it is
// over, as a network does that loses every packet for a while; a loss has the
// bytes wait for their retransmission.
type rule struct {
	cut           bool
	delay, jitter time.Duration
	loss          float64
}

// retransmission is how long lost bytes take longer.
const retransmission = 200 * time.Millisecond

func newNetwork(seed uint64) *network {
	return &network{
		changed: make(chan struct{}), rules: map[direction]rule{}, ends: map[io.Closer]bool{},
		random: rand.New(rand.NewPCG(seed, 1<<32)),
	}
}

// set makes the rule for some directions; others stay.
func (n *network) set(r rule, directions ...direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range directions {
		n.rules[d] = r
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// heal ends all rules.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rules)
	close(n.changed)
	n.changed = make(chan struct{})
}

// look is the rule in force, and when to look again.
func (n *network) look(d direction) (rule, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[d], n.changed
}

// arrival is when bytes that are sent now arrive, if nothing is cut.
func (n *network) arrival(d direction) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, now := n.rules[d], time.Now()
	if r.jitter > 0 {
		now = now.Add(time.Duration(n.random.Int64N(int64(r.jitter))))
	}
	if r.loss > 0 && n.random.Float64() < r.loss {
		now = now.Add(retransmission)
	}
	return now.Add(r.delay)
}

// before listens in front of a node; its address is what others are to dial.
func (n *network) before(name, target string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if !n.track(l) {
		return "", errClosing
	}
	n.running.Go(func() {
		defer n.untrack(l)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n.running.Go(func() { n.carry(conn, name, target) })
		}
	})
	return l.Addr().String(), nil
}

// track has close end what is open; false when that has happened already.
func (n *network) track(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		_ = c.Close()
		return false
	}
	n.ends[c] = true
	return true
}

func (n *network) untrack(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ends, c)
	_ = c.Close()
}

func (n *network) close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.closing = true
	for c := range n.ends {
		_ = c.Close()
	}
	close(n.changed)
	n.changed = make(chan struct{})
	n.mu.Unlock()
	n.running.Wait()
}

// carry is one connection to a node.
func (n *network) carry(from net.Conn, name, target string) {
	if !n.track(from) {
		return
	}
	defer n.untrack(from)
	r := bufio.NewReader(from)
	who := dialer(r)
	to, err := net.Dial("tcp", target)
	if err != nil || !n.track(to) {
		return
	}
	defer n.untrack(to)
	back := make(chan struct{})
	n.running.Go(func() {
		defer close(back)
		n.pump(from, to, direction{name, who})
		_ = from.Close()
	})
	n.pump(to, r, direction{who, name})
	_ = to.Close()
	<-back
}

// dialer reads who dials without consuming it: the node's name in the hello that
// opens a connection, "" when it has none.
func dialer(r *bufio.Reader) string {
	const magic, head = "antipode", 4 + 1 + 8
	start, err := r.Peek(len(magic) + head)
	if err != nil || string(start[:len(magic)]) != magic {
		return ""
	}
	size := int(binary.BigEndian.Uint32(start[len(magic):]))
	hello, err := r.Peek(len(start) + min(size, r.Size()-len(start)))
	if err != nil {
		return ""
	}
	var who struct {
		Node string `msgpack:"n"`
	}
	if msgpack.Unmarshal(hello[len(start):], &who) != nil {
		return ""
	}
	return who.Node
}

type chunk struct {
	data    []byte
	arrives time.Time
}

// underWay bounds the chunks of a connection that have not arrived; beyond it the
// sender waits, as before a full window.
const underWay = 256

// pump carries bytes in one direction until either side ends.
func (n *network) pump(to io.Writer, from io.Reader, d direction) {
	chunks := make(chan chunk, underWay)
	ended := make(chan struct{})
	n.running.Go(func() {
		defer close(chunks)
		for {
			b := make([]byte, 32<<10)
			got, err := from.Read(b)
			if got > 0 {
				select {
				case chunks <- chunk{b[:got], n.arrival(d)}:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	defer close(ended)
	for c := range chunks {
		if err := n.deliver(to, c, d); err != nil {
			return
		}
	}
	_ = n.deliver(io.Discard, chunk{}, d) // the end does not get through a cut either
}

var errClosing = errors.New("the network is closing")

func (n *network) deliver(to io.Writer, c chunk, d direction) error {
	for {
		r, changed := n.look(d)
		n.mu.Lock()
		closing := n.closing
		n.mu.Unlock()
		switch wait := time.Until(c.arrives); {
		case closing:
			return errClosing
		case r.cut:
			<-changed
		case wait > 0:
			t := time.NewTimer(wait)
			<-t.C
		default:
			_, err := to.Write(c.data)
			return err
		}
	}
}
