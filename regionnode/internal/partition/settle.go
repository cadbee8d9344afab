package partition

import (
	"encoding/binary"
	"errors"

	"antipode/regionnode/table"
)

// note is what members of a group tell one another beside raft. It travels with
// raft's messages, in order with them, and may be lost like them.
type note struct {
	kind noteKind
	from table.NodeID
	term uint64
	// commit is the leader's commit index, and its last one.
	commit uint64
	// Of an answer: support is what the follower's node gives the leader's, and
	// caught says that the follower has applied commit and knows no more.
	support uint64
	caught  bool
}

type noteKind byte

const (
	// settleNote asks a follower whether it follows under support, and is caught up.
	settleNote noteKind = 1 + iota
	// settledNote answers.
	settledNote
	// resignNote says that a replica has stopped for good and leads nothing.
	resignNote
)

// No encoded raft message begins with noteMark: see messageFormat.
const (
	noteMark   byte = 0
	noteFormat byte = 1
)

var errNote = errors.New("broken note")

func (n *note) append(dst []byte) []byte {
	caught := byte(0)
	if n.caught {
		caught = 1
	}
	dst = append(dst, noteMark, noteFormat, byte(n.kind), caught)
	for _, v := range []uint64{uint64(n.from), n.term, n.commit, n.support} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func decodeNote(raw []byte) (note, error) {
	d := decoder{b: raw}
	mark, format := d.byte(), d.byte()
	n := note{kind: noteKind(d.byte()), caught: d.byte() == 1}
	n.from, n.term, n.commit, n.support = table.NodeID(d.uvarint()), d.uvarint(), d.uvarint(), d.uvarint()
	if d.bad || mark != noteMark || format != noteFormat {
		return note{}, errNote
	}
	return n, nil
}

// receive takes in one message of another member.
func (p *Partition) receive(raw []byte) error {
	if len(raw) > 0 && raw[0] == noteMark {
		n, err := decodeNote(raw)
		if err != nil {
			return err
		}
		p.inbox.mu.Lock()
		p.inbox.notes = append(p.inbox.notes, n)
		p.inbox.mu.Unlock()
		p.host.scheduler.notify(p)
		return nil
	}
	return p.receiveRaft(raw)
}

func (p *Partition) tell(to table.NodeID, n note) {
	n.from = p.host.cfg.Node
	p.host.cfg.Send(to, p.id, [][]byte{n.append(nil)})
}

// stepNote is the round's.
func (p *Partition) stepNote(n note) {
	switch n.kind {
	case settleNote:
		p.settled(n)
	case settledNote:
		p.noteSettled(n)
	case resignNote:
		// A replica made there later leads in a later term.
		if r := p.role.Load(); r.term <= n.term {
			p.rest.kept.release(n.from)
			if r.leader == n.from {
				p.forgetLeader()
			}
		}
	}
}

// settled answers a leader, if this replica follows it and this node supports
// its node. From then on, as long as that support stands, the replica follows
// nobody else (admits, mayTick, mayCampaign).
func (p *Partition) settled(n note) {
	r := p.role.Load()
	if p.host.cfg.Liveness == nil || r.leader != n.from || r.term != n.term {
		return
	}
	support := p.supports(n.from)
	if support == 0 {
		return
	}
	last, _ := p.storage.LastIndex()
	p.tell(n.from, note{
		kind: settledNote, term: n.term, commit: n.commit, support: support,
		caught: last == n.commit && p.state.Index == n.commit,
	})
}

// supports names what this node gives a member's node, 0 for nothing.
func (p *Partition) supports(member table.NodeID) uint64 {
	live := p.host.cfg.Liveness
	if live == nil || !p.voters().has(member) {
		return 0
	}
	return live.Support(member)
}
