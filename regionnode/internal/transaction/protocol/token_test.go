package protocol_test

import (
	"fmt"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/internal/transaction/protocol"
)

// A second model: one request with a token that two coordinators work on, because
// the client sent it again, and that the partition of all its items does in one
// step, or refuses, or loses on the way. Coordinators may stop between any two
// steps and take any silence for a lost answer; rows are swept and receipts
// healed at any time; closed time rises at any time.

// tokenRules are the decisions under test.
type tokenRules struct {
	may  func(protocol.Row, protocol.Row) bool
	told func(*protocol.Row, regionnode.TransactionID) bool
	swap func(now, seen protocol.Row) bool
	// late refuses an attempt whose time is closed, never tells that one without a
	// receipt will not happen.
	late, never func(time, closed int8) bool
	// The order of things.
	forgetFirst, resend, noLookAgain bool
}

func realTokenRules() tokenRules {
	passed := func(time, closed int8) bool { return time <= closed }
	return tokenRules{
		may: protocol.Row.May, told: protocol.Told, swap: func(now, seen protocol.Row) bool { return now == seen },
		late: passed, never: passed,
	}
}

// tokenTimes are the times of each coordinator's attempts.
var tokenTimes = [2][2]int8{{10, 30}, {20, 40}}

type tokenRow struct{ state, time int8 } // state 0: no row

func (r tokenRow) row() protocol.Row {
	return protocol.Row{State: protocol.State(r.state), Time: stamp(r.time)}
}

// The phases of a coordinator and of those who end what others left.
const (
	looks int8 = iota
	enters
	waits
	asks
	wonders // the answer is lost
	tells
	forgets
	removes
	stopped
)

const (
	isSingle    = int8(protocol.Single)
	isCommitted = int8(protocol.Committed)
)

// The answers of a coordinator; 0 is none, or an unknown outcome.
const (
	success int8 = iota + 1
	refusal
	running
)

// teller is who works on an attempt: a coordinator, or a sweeper.
type teller struct {
	phase int8
	// row as it was seen, and the attempt worked on.
	seen   tokenRow
	answer int8
	// begun, and after another had succeeded; retried: with its second time.
	begun, after, retried bool
}

type tokenWorld struct {
	row      tokenRow
	closed   int8
	receipts [5]bool // by time / 10
	sent     [5]bool // requests on their way
	did      [5]bool
	c        [2]teller
	sweeper  teller
	healed   int8 // time of a receipt that is about to go
}

type tokenChecker struct {
	tokenRules
	visited map[tokenWorld]struct{}
	todo    []tokenWorld
	fault   string
}

func exploreToken(r tokenRules) (string, int) {
	c := &tokenChecker{tokenRules: r, visited: map[tokenWorld]struct{}{}}
	c.add(tokenWorld{})
	for len(c.todo) > 0 && c.fault == "" && len(c.visited) < maxWorlds {
		w := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		if !c.step(w) {
			c.over(w)
		}
	}
	return c.fault, len(c.visited)
}

func (c *tokenChecker) add(w tokenWorld) {
	if _, ok := c.visited[w]; !ok {
		c.visited[w] = struct{}{}
		c.todo = append(c.todo, w)
	}
}

func (c *tokenChecker) fail(w tokenWorld, format string, args ...any) {
	if c.fault == "" {
		c.fault = fmt.Sprintf(format, args...) + fmt.Sprintf(": %+v", w)
	}
}

func (w *tokenWorld) done() (n int) {
	for _, did := range w.did {
		if did {
			n++
		}
	}
	return n
}

// change is a conditional write of the row.
func (c *tokenChecker) change(w *tokenWorld, seen, next tokenRow) bool {
	if !c.swap(w.row.row(), seen.row()) || seen.state != 0 && next.state != 0 && !c.may(seen.row(), next.row()) {
		return false
	}
	w.row = next
	return true
}

func (c *tokenChecker) step(w tokenWorld) (moved bool) {
	next := func(n tokenWorld) {
		if n != w {
			moved = true
			c.add(n)
		}
	}
	for i := range w.c {
		if w.c[i].phase == stopped {
			continue
		}
		n := w
		n.c[i].phase = stopped
		next(n)
		c.coordinate(w, i, next)
	}
	c.sweep(w, next)
	for _, at := range []int8{10, 20, 30, 40} {
		if w.sent[at/10] {
			c.arrive(w, at, next)
		}
		if w.closed < at {
			n := w
			n.closed = at
			next(n)
		}
	}
	return moved
}

// arrive is the request of the attempt of a time at the partition.
func (c *tokenChecker) arrive(w tokenWorld, at int8, next func(tokenWorld)) {
	w.sent[at/10] = c.resend
	x := &w.c[0]
	if at == tokenTimes[1][0] || at == tokenTimes[1][1] {
		x = &w.c[1]
	}
	answer := func(n tokenWorld, phase, answer int8) {
		y := &n.c[0]
		if x == &w.c[1] {
			y = &n.c[1]
		}
		if y.phase == waits && y.seen.time == at {
			y.phase = phase
			if answer != 0 {
				c.answer(&n, y, answer)
			}
		}
		next(n)
	}
	if c.late(at, w.closed) {
		answer(w, enters, 0)
		return
	}
	answer(w, removes, 0) // refused
	n := w
	n.did[at/10], n.receipts[at/10] = true, true
	if n.done() > 1 || w.did[at/10] {
		c.fail(n, "it is done twice")
	}
	answer(n, tells, success)
}

func (c *tokenChecker) answer(w *tokenWorld, x *teller, answer int8) {
	x.answer = answer
	switch {
	case answer == success && w.done() == 0:
		c.fail(*w, "it succeeds and is not done")
	case answer == running && x.after:
		c.fail(*w, "it is said to be running, but had succeeded before")
	}
}

// coordinate is a coordinator's next step.
func (c *tokenChecker) coordinate(w tokenWorld, i int, next func(tokenWorld)) {
	n := w
	x := &n.c[i]
	if !x.begun {
		x.begun, x.after = true, w.c[1-i].answer == success
	}
	switch x.phase {
	case looks:
		x.seen = w.row
		switch w.row.state {
		case 0:
			x.phase = enters
		case isCommitted:
			x.phase = stopped
			c.answer(&n, x, success)
		default:
			x.phase = asks
		}
	case enters:
		time := tokenTimes[i][0]
		if x.retried || x.seen.state != 0 {
			time = tokenTimes[i][1]
		}
		again := x.seen.state != 0
		switch {
		case x.retried && again: // no third time
			x.phase = removes
		case c.change(&n, x.seen, tokenRow{isSingle, time}):
			x.phase, x.seen, x.retried = waits, tokenRow{isSingle, time}, true
			n.sent[time/10] = true
		case again:
			x.phase = stopped // somebody took it for stalled
			c.answer(&n, x, refusal)
		default:
			x.phase = looks
		}
	case waits:
		x.phase = wonders
	case asks, wonders:
		c.ask(w, i, next)
		return
	case removes:
		c.change(&n, x.seen, tokenRow{})
		x.phase = stopped
		c.answer(&n, x, refusal)
	case tells, forgets:
		c.tell(&n, x)
	}
	next(n)
}

// tell is a step of what the client does not wait for.
func (c *tokenChecker) tell(w *tokenWorld, x *teller) {
	at := x.seen.time
	switch {
	case x.phase == tells && c.forgetFirst && w.receipts[at/10]:
		w.receipts[at/10] = false
	case x.phase == tells && c.change(w, x.seen, tokenRow{isCommitted, at}):
		x.phase = forgets
	case x.phase == tells:
		x.phase = stopped
	default:
		w.receipts[at/10] = false
		x.phase = stopped
	}
}

// ask is a question to the partition about the row that was seen.
func (c *tokenChecker) ask(w tokenWorld, i int, next func(tokenWorld)) {
	n := w
	x := &n.c[i]
	at := x.seen.time
	switch {
	case w.receipts[at/10]:
		x.phase = tells
		c.answer(&n, x, success)
		next(n)
		return
	case c.never(at, w.closed):
		if x.phase == wonders {
			c.change(&n, x.seen, tokenRow{})
			x.phase = stopped // the outcome is called unknown
		} else {
			c.change(&n, x.seen, tokenRow{})
			x.phase = looks
		}
		next(n)
		n = w
		x = &n.c[i]
	}
	if x.phase != asks {
		return
	}
	if x.phase = looks; w.row == x.seen || c.noLookAgain {
		x.phase = stopped
		c.answer(&n, x, running)
	}
	next(n)
}

// sweep ends rows and takes receipts away.
func (c *tokenChecker) sweep(w tokenWorld, next func(tokenWorld)) {
	n := w
	x := &n.sweeper
	switch x.phase {
	case looks:
		if w.row.state == isSingle {
			x.seen, x.phase = w.row, asks
			next(n)
		}
	case asks:
		switch at := x.seen.time; {
		case w.receipts[at/10]:
			x.phase = tells
		case c.never(at, w.closed):
			x.phase = removes
		default:
			*x = teller{}
		}
		next(n)
	case removes:
		c.change(&n, x.seen, tokenRow{})
		*x = teller{}
		next(n)
	default:
		if c.tell(&n, x); x.phase == stopped {
			*x = teller{}
		}
		next(n)
	}
	if w.healed != 0 {
		n := w
		n.receipts[w.healed/10], n.healed = false, 0
		next(n)
		return
	}
	for k, there := range w.receipts {
		var about *protocol.Row
		if row := w.row.row(); w.row.state != 0 {
			about = &row
		}
		if there && c.told(about, regionnode.TransactionID{Row: "0", Time: stamp(int8(k) * 10)}) {
			n := w
			n.healed = int8(k) * 10
			next(n)
		}
	}
}

// over checks a world in which nothing can happen any more.
func (c *tokenChecker) over(w tokenWorld) {
	for i := range w.c {
		mine := w.did[tokenTimes[i][0]/10] || w.did[tokenTimes[i][1]/10]
		if w.c[i].answer == refusal && mine {
			c.fail(w, "coordinator %d refused what is done", i)
		}
	}
	if (w.row.state == isCommitted) != (w.done() == 1) || w.row.state == isSingle {
		c.fail(w, "done %d times, and the row says something else", w.done())
	}
	for _, there := range w.receipts {
		if there {
			c.fail(w, "a receipt stays")
		}
	}
}

func TestToken(t *testing.T) {
	fault, worlds := exploreToken(realTokenRules())
	if fault != "" {
		t.Fatalf("after %d worlds: %s", worlds, fault)
	}
	if worlds < 1000 || worlds >= maxWorlds {
		t.Errorf("%d worlds", worlds)
	}
	t.Logf("%d worlds", worlds)
}

// TestTokenMistakes puts each mistake into the rules: the walk must find it.
func TestTokenMistakes(t *testing.T) {
	for name, mistake := range map[string]func(*tokenRules){
		"a late attempt is done":                      func(r *tokenRules) { r.late = func(int8, int8) bool { return false } },
		"no receipt is taken for never":               func(r *tokenRules) { r.never = func(int8, int8) bool { return true } },
		"what is closed just now is not late":         func(r *tokenRules) { r.late = func(time, closed int8) bool { return time < closed } },
		"the receipt goes before the row is told":     func(r *tokenRules) { r.forgetFirst = true },
		"a receipt goes though the row is not told":   func(r *tokenRules) { r.told = func(*protocol.Row, regionnode.TransactionID) bool { return true } },
		"receipts stay":                               func(r *tokenRules) { r.told = func(*protocol.Row, regionnode.TransactionID) bool { return false } },
		"the request is repeated":                     func(r *tokenRules) { r.resend = true },
		"rows are written without looking":            func(r *tokenRules) { r.swap = func(protocol.Row, protocol.Row) bool { return true } },
		"the row is not read again behind the answer": func(r *tokenRules) { r.noLookAgain = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := realTokenRules()
			mistake(&r)
			fault, worlds := exploreToken(r)
			if fault == "" {
				t.Errorf("not found in %d worlds", worlds)
			}
			t.Logf("%d worlds: %s", worlds, fault)
		})
	}
}
