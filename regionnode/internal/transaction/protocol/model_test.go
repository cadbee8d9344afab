package protocol_test

import (
	"fmt"
	"slices"
	"strings"

	"antipode/regionnode"
	"antipode/regionnode/internal/transaction/protocol"
	"antipode/replication/hlc"
)

// The model: two transactions on two keys that lie in partitions of their own, a
// single write, a transaction that one partition does in one step, a read
// transaction, a coordinator for each transaction that may
// stop for good between any two steps, recovery that may take any attempt for
// stalled at any time, and messages that come late, twice, in any order, or
// never. Everything that can happen is tried. What leaders, coordinators and
// recovery decide is asked of package protocol through rules, so that a test can
// put a mistake in its place.

const (
	keyCount = 2
	txCount  = 2
)

// action is what a transaction, or the single write, does to a key.
type action uint8

const (
	nothing action = iota
	put
	putAbsent // put, if there is no item
	remove
	checkAbsent
	checkExists
)

func (a action) change() protocol.Change {
	switch a {
	case put, putAbsent:
		return protocol.Put
	case remove:
		return protocol.Remove
	}
	return protocol.Check
}

func (a action) holds(exists bool) bool {
	switch a {
	case putAbsent, checkAbsent:
		return !exists
	case checkExists:
		return exists
	}
	return true
}

// scenario is what the processes of one world want.
type scenario struct {
	name   string
	exists [keyCount]bool
	do     [txCount][keyCount]action
	// times of each transaction's attempts: coordinators' clocks differ.
	times  [txCount][2]int8
	single action // on the first key
	// together is a transaction that is done in one step. In a world that has one,
	// the keys lie in one partition.
	together [keyCount]action
	reads    bool
	// frail are the transactions whose coordinator may stop or lose patience, and
	// which recovery may take for stalled.
	frail [txCount]bool
	// closes lets closed time rise, once; repeats lets one message come twice.
	closes, repeats bool
}

// rules are the decisions under test.
type rules struct {
	prepare func(protocol.Item, protocol.Watermarks, regionnode.TransactionID) protocol.Verdict
	commit  func(protocol.Item, regionnode.TransactionID, protocol.Change, bool) (protocol.Effect, bool)
	atOnce  func(protocol.Item, protocol.Change, bool) (protocol.Effect, bool)
	holds   func(protocol.Item, regionnode.TransactionID) bool
	fate    func(*protocol.Row, regionnode.TransactionID, bool) protocol.Fate
	may     func(protocol.Row, protocol.Row) bool
	below   func(hlc.Timestamp, ...hlc.Timestamp) hlc.Timestamp
	// swap tells whether a conditional write of a ledger row goes through.
	swap func(now, seen protocol.Row) bool
	// The coordinator's and the reader's order of things.
	prepareFirst, endEarly, readMarked, readOnce, writeMarked, staleClock bool
}

func realRules() rules {
	return rules{
		prepare: protocol.Prepare, commit: protocol.Commit, atOnce: protocol.AtOnce, holds: protocol.Holds,
		fate: protocol.FateOf, may: protocol.Row.May, below: protocol.Below,
		swap: func(now, seen protocol.Row) bool { return now == seen },
	}
}

// cell is one key and its partition.
type cell struct {
	exists           bool
	owner            int8 // who wrote it: a transaction, single or initial
	version, checked int8
	markOf, markTime int8 // none for markOf: not marked
	deleted, absent  int8
	closed, clock    int8
}

const (
	none    int8 = -1
	single  int8 = 10
	initial int8 = 11
	joint   int8 = 12
)

// net is the messages of one transaction to one key, a bit for each attempt.
type net struct{ prepare, commit, cancel uint8 }

// The phases of a coordinator.
const (
	starts int8 = iota
	prepares
	decides
	cancels
	commits
	postpones
	over
)

// votes.
const (
	noVote int8 = iota
	yes
	no
	late
)

type coordinator struct {
	phase, attempt int8
	votes          [keyCount]int8
	acks           uint8
	answer         int8 // 1 success, 2 refusal; 0 in phase over: it has stopped
}

type healer struct {
	active, commit bool
	attempt        int8
	acks           uint8
}

// sight is what the reader saw of a key.
type sight struct{ owner, version int8 }

// world is one state. It is comparable.
type world struct {
	cells   [keyCount]cell
	rows    [txCount]struct{ state, time int8 } // state 0: no row
	net     [txCount][keyCount]net
	tx      [txCount]coordinator
	heal    [txCount]healer
	applied [txCount]uint8
	at      [txCount]int8 // time of the attempt that was applied
	wrote   int8          // time of the single write, 0 before it
	joined  int8          // time of the transaction in one step, 0 before it
	twice   bool          // a message has been delivered twice
	closed  bool          // closed time has risen
	read    int8          // steps of the reader
	seen    [keyCount]sight
	readOK  bool
}

func stamp(t int8) hlc.Timestamp { return hlc.Timestamp{Wall: int64(t)} }

// checker walks through all worlds that a scenario can come to.
type checker struct {
	scenario
	rules
	visited map[world]struct{}
	todo    []world
	fault   string
}

// maxWorlds ends a walk that a mistake has let grow beyond bounds.
const maxWorlds = 1_500_000

// explore returns the first fault that it finds, "" for none, and how many worlds
// there are.
func explore(s scenario, r rules) (fault string, worlds int) {
	c := &checker{scenario: s, rules: r, visited: map[world]struct{}{}}
	var w world
	for k := range w.cells {
		w.cells[k] = cell{exists: s.exists[k], owner: none, markOf: none}
		if s.exists[k] {
			w.cells[k].owner, w.cells[k].version, w.cells[k].clock = initial, 1, 1
		}
	}
	c.add(w)
	for len(c.todo) > 0 && c.fault == "" {
		w := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		before := len(c.visited)
		if !c.step(w) && c.fault == "" {
			c.finished(w)
		}
		if before > maxWorlds {
			c.fault = "too many worlds"
		}
	}
	return c.fault, len(c.visited)
}

func (c *checker) add(w world) {
	if _, ok := c.visited[w]; ok {
		return
	}
	c.visited[w] = struct{}{}
	c.todo = append(c.todo, w)
}

func (c *checker) fail(format string, args ...any) {
	if c.fault == "" {
		c.fault = fmt.Sprintf(format, args...)
	}
}

func (c *checker) involved(t, k int) bool { return c.do[t][k] != nothing }

func (c *checker) all(t int) (mask uint8) {
	for k := range keyCount {
		if c.involved(t, k) {
			mask |= 1 << k
		}
	}
	return mask
}

func (c *checker) id(t int, time int8) regionnode.TransactionID {
	return regionnode.TransactionID{Row: fmt.Sprint(t), Time: stamp(time)}
}

func (c *checker) item(w *world, k int) protocol.Item {
	x := &w.cells[k]
	it := protocol.Item{Exists: x.exists, Version: stamp(x.version), Checked: stamp(x.checked)}
	if x.markOf != none {
		id := c.id(int(x.markOf), x.markTime)
		it.Pending = &id
	}
	return it
}

// step tries everything that can happen next; false when nothing can.
func (c *checker) step(w world) (moved bool) {
	next := func(n world) {
		if n != w {
			moved = true
			c.add(n)
		}
	}
	for t := range txCount {
		if c.all(t) == 0 {
			continue
		}
		c.coordinate(w, t, next)
		if c.frail[t] {
			c.recover(w, t, next)
		}
		for k := range keyCount {
			c.deliver(w, t, k, next)
		}
	}
	c.others(w, next)
	return moved
}

// send puts a message to each key of a transaction on its way.
func (c *checker) send(w *world, t int, f func(n *net)) {
	for k := range keyCount {
		if c.involved(t, k) {
			f(&w.net[t][k])
		}
	}
}

// row changes a transaction's ledger row, as it was seen before.
func (c *checker) row(w *world, t int, seen, next protocol.Row) bool {
	now := protocol.Row{State: protocol.State(w.rows[t].state), Time: stamp(w.rows[t].time)}
	if !c.swap(now, seen) || seen.State != 0 && !c.may(seen, next) {
		return false
	}
	w.rows[t].state, w.rows[t].time = int8(next.State), int8(next.Time.Wall)
	return true
}

func (c *checker) coordinate(w world, t int, next func(world)) {
	x := &w.tx[t]
	if x.phase == over {
		return
	}
	if c.frail[t] {
		stop := w
		stop.tx[t] = coordinator{phase: over}
		next(stop)
	}
	n := w
	y := &n.tx[t]
	time := c.times[t][x.attempt]
	bit := uint8(1) << x.attempt
	preparing := protocol.Row{State: protocol.Preparing, Time: stamp(time)}
	sendPrepares := func() { c.send(&n, t, func(m *net) { m.prepare |= bit }) }
	sendCancels := func(phase int8) {
		y.phase, y.acks, y.votes = phase, 0, [keyCount]int8{}
		c.send(&n, t, func(m *net) { m.cancel |= bit })
	}
	switch x.phase {
	case starts:
		if c.prepareFirst && n.net[t] == [keyCount]net{} {
			sendPrepares()
			break
		}
		c.row(&n, t, protocol.Row{}, preparing)
		y.phase = prepares
		if !c.prepareFirst {
			sendPrepares()
		}
	case prepares:
		if c.allVoted(x, t) {
			c.count(&n, t, sendCancels)
			break
		}
		if !c.frail[t] {
			return
		}
		sendCancels(cancels) // answers are overdue
	case decides:
		if c.row(&n, t, preparing, protocol.Row{State: protocol.Committing, Time: stamp(time)}) {
			y.phase, y.acks = commits, 0
			c.send(&n, t, func(m *net) { m.commit |= bit })
			break
		}
		sendCancels(cancels)
	case cancels:
		if x.acks != c.all(t) {
			return
		}
		c.end(&n, t, protocol.Preparing, time)
		*y = coordinator{phase: over, answer: 2}
	case commits:
		if x.acks != c.all(t) && !c.endEarly {
			return
		}
		c.end(&n, t, protocol.Committing, time)
		*y = coordinator{phase: over}
		if x.acks == c.all(t) {
			y.answer = 1
		}
	case postpones:
		if x.acks != c.all(t) {
			return
		}
		y.votes, y.acks = [keyCount]int8{}, 0
		if !c.row(&n, t, preparing, protocol.Row{State: protocol.Preparing, Time: stamp(c.times[t][1])}) {
			*y = coordinator{phase: over, answer: 2}
			break
		}
		y.phase, y.attempt = prepares, 1
		bit = 2
		sendPrepares()
	}
	next(n)
}

func (c *checker) allVoted(x *coordinator, t int) bool {
	for k, v := range x.votes {
		if c.involved(t, k) && v == noVote {
			return false
		}
	}
	return true
}

// count follows from the votes.
func (c *checker) count(n *world, t int, cancel func(int8)) {
	y := &n.tx[t]
	switch {
	case slices.Contains(y.votes[:], no):
		cancel(cancels)
	case !slices.Contains(y.votes[:], late):
		y.phase, y.votes = decides, [keyCount]int8{}
	case y.attempt == 0 && c.times[t][1] != 0:
		cancel(postpones)
	default:
		cancel(cancels)
	}
}

// end removes a row that is as expected.
func (c *checker) end(w *world, t int, state protocol.State, time int8) {
	if w.rows[t].state == int8(state) && w.rows[t].time == time {
		w.rows[t].state, w.rows[t].time = 0, 0
	}
}

// recover takes a mark, or a row, for stalled.
func (c *checker) recover(w world, t int, next func(world)) {
	var about *protocol.Row
	if w.rows[t].state != 0 {
		about = &protocol.Row{State: protocol.State(w.rows[t].state), Time: stamp(w.rows[t].time)}
	}
	h := &w.heal[t]
	if h.active {
		if h.acks == c.all(t) {
			n := w
			state := protocol.Cancelling
			if h.commit {
				state = protocol.Committing
			}
			c.end(&n, t, state, c.times[t][h.attempt])
			n.heal[t] = healer{}
			next(n)
		}
		return
	}
	for k := range keyCount {
		if w.cells[k].markOf == int8(t) {
			c.settle(w, t, w.cells[k].markTime, k, about, next)
		}
	}
	if about != nil && !about.State.Ended() {
		c.settle(w, t, w.rows[t].time, noKey, about, next)
	}
}

// noKey is no key.
const noKey = -1

func (c *checker) settle(w world, t int, time int8, k int, about *protocol.Row, next func(world)) {
	n := w
	attempt := int8(0)
	if time == c.times[t][1] {
		attempt = 1
	}
	bit := uint8(1) << attempt
	fate := c.fate(about, c.id(t, time), true)
	switch {
	case fate == protocol.ToCommit:
		n.heal[t] = healer{active: true, commit: true, attempt: attempt}
		c.send(&n, t, func(m *net) { m.commit |= bit })
	case fate == protocol.ToDecide:
		if !c.row(&n, t, *about, protocol.Row{State: protocol.Cancelling, Time: stamp(time)}) {
			return
		}
		n.heal[t] = healer{active: true, attempt: attempt}
		c.send(&n, t, func(m *net) { m.cancel |= bit })
	case fate == protocol.ToCancel && k == noKey:
		n.heal[t] = healer{active: true, attempt: attempt}
		c.send(&n, t, func(m *net) { m.cancel |= bit })
	case fate == protocol.ToCancel:
		n.net[t][k].cancel |= bit
	}
	next(n)
}

// deliver delivers each message to a key, and one of all messages twice.
func (c *checker) deliver(w world, t, k int, next func(world)) {
	for attempt := range int8(2) {
		bit := uint8(1) << attempt
		time := c.times[t][attempt]
		kinds := []struct {
			waiting uint8
			take    func(n *world)
			arrive  func(n *world)
		}{
			{w.net[t][k].prepare, func(n *world) { n.net[t][k].prepare &^= bit }, func(n *world) { c.prepared(n, t, k, attempt, time) }},
			{w.net[t][k].commit, func(n *world) { n.net[t][k].commit &^= bit }, func(n *world) { c.finish(n, t, k, attempt, time, true) }},
			{w.net[t][k].cancel, func(n *world) { n.net[t][k].cancel &^= bit }, func(n *world) { c.finish(n, t, k, attempt, time, false) }},
		}
		for _, m := range kinds {
			if m.waiting&bit == 0 {
				continue
			}
			n := w
			m.arrive(&n)
			if c.repeats && !n.twice {
				again := n
				again.twice = true
				next(again)
			}
			m.take(&n)
			next(n)
		}
	}
}

// prepared is a prepare that arrives.
func (c *checker) prepared(n *world, t, k int, attempt, time int8) {
	x := &n.cells[k]
	x.clock = max(x.clock, time)
	vote := no
	if c.do[t][k].holds(x.exists) || x.markOf == int8(t) {
		marks := protocol.Watermarks{Deleted: stamp(x.deleted), AbsentRead: stamp(x.absent), Closed: stamp(x.closed)}
		switch c.prepare(c.item(n, k), marks, c.id(t, time)) {
		case protocol.Accept:
			x.markOf, x.markTime = int8(t), time
			vote = yes
		case protocol.Repeat:
			vote = yes
		case protocol.Late:
			vote = late
		}
	}
	if y := &n.tx[t]; y.phase == prepares && y.attempt == attempt && y.votes[k] == noVote {
		y.votes[k] = vote
	}
}

// finish is a commit or a cancel that arrives.
func (c *checker) finish(n *world, t, k int, attempt, time int8, commit bool) {
	x := &n.cells[k]
	it := c.item(n, k)
	if commit {
		if e, ok := c.commit(it, c.id(t, time), c.do[t][k].change(), false); ok {
			c.apply(n, t, k, time, e)
			x.markOf, x.markTime = none, 0
		}
	} else if c.holds(it, c.id(t, time)) {
		x.markOf, x.markTime = none, 0
	}
	phase := cancels
	if commit {
		phase = commits
	}
	if y := &n.tx[t]; y.attempt == attempt && (y.phase == phase || !commit && y.phase == postpones) {
		y.acks |= 1 << k
	}
	if h := &n.heal[t]; h.active && h.commit == commit && h.attempt == attempt {
		h.acks |= 1 << k
	}
}

func (c *checker) apply(n *world, t, k int, time int8, e protocol.Effect) {
	x := &n.cells[k]
	if n.applied[t]&(1<<k) != 0 {
		c.fail("transaction %d is committed twice on key %d", t, k)
	}
	n.applied[t] |= 1 << k
	n.at[t] = time
	if n.tx[t].answer == 2 {
		c.fail("transaction %d was refused and is committed on key %d", t, k)
	}
	if e.Write {
		if time <= x.closed {
			c.fail("transaction %d writes key %d at %d, which is closed up to %d", t, k, time, x.closed)
		}
		if time <= x.version {
			c.fail("transaction %d writes key %d at %d over version %d", t, k, time, x.version)
		}
		x.exists, x.owner, x.version = true, int8(t), time
		if c.do[t][k].change() == protocol.Remove {
			x.exists, x.owner, x.version, x.checked = false, none, 0, 0
		}
	}
	if e.Checked {
		x.checked = max(x.checked, time)
	}
	if e.AbsentRead {
		x.absent = max(x.absent, time)
	}
	if e.Deleted {
		x.deleted = max(x.deleted, time)
	}
}

// others is what is no transaction's: the single write, closed time, the reader.
func (c *checker) others(w world, next func(world)) {
	if x := &w.cells[0]; c.single != nothing && w.wrote == 0 && (x.markOf == none || c.writeMarked) {
		for _, at := range []int8{x.clock + 1, 15} {
			if at > x.clock {
				n := w
				c.write(&n, at)
				next(n)
			}
		}
	}
	if c.together != [keyCount]action{} && w.joined == 0 {
		clock := max(w.cells[0].clock, w.cells[1].clock)
		for _, at := range []int8{clock + 1, 15} {
			if n := w; (at > clock || c.staleClock) && c.join(&n, at) {
				next(n)
			}
		}
	}
	for k := range w.cells {
		x := &w.cells[k]
		if w.closed || !c.closes {
			break
		}
		var pending []hlc.Timestamp
		if x.markOf != none {
			pending = append(pending, stamp(x.markTime))
		}
		// The partition's other keys move its clock too.
		for _, to := range []int8{x.clock, max(x.clock, 22)} {
			if closed := int8(c.below(stamp(to), pending...).Wall); closed > x.closed {
				n := w
				n.cells[k].closed, n.cells[k].clock = closed, max(x.clock, closed)
				n.closed = true
				next(n)
			}
		}
	}
	if c.reads && w.read < 4 {
		c.readNext(w, next)
	}
}

func (c *checker) write(n *world, at int8) {
	x := &n.cells[0]
	n.wrote, x.clock = at, at
	if c.together != [keyCount]action{} {
		n.cells[1].clock = max(n.cells[1].clock, at)
	}
	if c.single == remove {
		x.deleted = max(x.deleted, at)
		x.exists, x.owner, x.version, x.checked = false, none, 0, 0
		return
	}
	x.exists, x.owner, x.version = true, single, at
}

// join does the transaction in one step, unless a condition does not hold or a
// key is marked; then it has no effect at all.
func (c *checker) join(n *world, at int8) bool {
	for k := range n.cells {
		x := &n.cells[k]
		if c.together[k] == nothing {
			continue
		}
		e, ok := c.atOnce(c.item(n, k), c.together[k].change(), false)
		if !ok || !c.together[k].holds(x.exists) {
			return false
		}
		if e.Write {
			x.exists, x.owner, x.version = true, joint, at
			if c.together[k].change() == protocol.Remove {
				x.exists, x.owner, x.version, x.checked = false, none, 0, 0
			}
		}
		if e.Checked {
			x.checked = max(x.checked, at)
		}
		if e.AbsentRead {
			x.absent = max(x.absent, at)
		}
		if e.Deleted {
			x.deleted = max(x.deleted, at)
		}
	}
	n.joined = at
	for k := range n.cells {
		n.cells[k].clock = at
	}
	return true
}

// readNext is one of the reader's steps: both keys, and both keys again.
func (c *checker) readNext(w world, next func(world)) {
	k := w.read % keyCount
	x := &w.cells[k]
	n := w
	version := x.version
	if !x.exists {
		version = x.deleted
	}
	switch {
	case x.markOf != none && !c.readMarked:
		n.read, n.seen = 4, [keyCount]sight{}
	case w.read < keyCount:
		n.seen[k].owner, n.seen[k].version = x.owner, version
		n.read++
		if c.readOnce && n.read == keyCount {
			n.read, n.readOK = 4, true
		}
	case n.seen[k].version != version:
		n.read, n.seen = 4, [keyCount]sight{}
	default:
		n.read++
		n.readOK = n.read == 4
	}
	next(n)
}

// event is something committed, for the serial order by time.
type event struct {
	time int8
	who  int8
}

// finished checks a world in which nothing can happen any more.
func (c *checker) finished(w world) {
	var events []event
	for t := range txCount {
		switch w.applied[t] {
		case 0:
			if w.tx[t].answer == 1 {
				c.fail("transaction %d succeeded and is not committed", t)
			}
		case c.all(t):
			events = append(events, event{w.at[t], int8(t)})
		default:
			c.fail("transaction %d is committed in part", t)
		}
	}
	if w.wrote != 0 {
		events = append(events, event{w.wrote, single})
	}
	if w.joined != 0 {
		events = append(events, event{w.joined, joint})
	}
	for k := range w.cells {
		if w.cells[k].markOf != none {
			c.fail("key %d stays marked", k)
		}
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.time - b.time) })
	c.replay(w, events)
}

// replay does what was committed in the order of its times: every condition must
// hold where it stands, the outcome must be the same, and what was read must have
// been there at one moment.
func (c *checker) replay(w world, events []event) {
	var owners [keyCount]int8
	for k := range owners {
		if owners[k] = none; c.exists[k] {
			owners[k] = initial
		}
	}
	read := !w.readOK
	look := func() {
		read = read || owners[0] == w.seen[0].owner && owners[1] == w.seen[1].owner
	}
	look()
	for _, e := range events {
		for k := range keyCount {
			do := nothing
			switch {
			case e.who == single && k == 0:
				do = c.single
			case e.who == joint:
				do = c.together[k]
			case e.who < txCount:
				do = c.do[e.who][k]
			}
			if !do.holds(owners[k] != none) {
				c.fail("in serial order, the condition of %d on key %d does not hold: %v", e.who, k, events)
			}
			switch do {
			case put, putAbsent:
				owners[k] = e.who
			case remove:
				owners[k] = none
			}
		}
		look()
	}
	for k := range keyCount {
		if owners[k] != w.cells[k].owner {
			c.fail("in serial order, key %d ends as %d, not %d: %v", k, owners[k], w.cells[k].owner, events)
		}
	}
	if !read {
		c.fail("read %s, which never was so: %v", strings.Trim(fmt.Sprint(w.seen), "[]"), events)
	}
}
