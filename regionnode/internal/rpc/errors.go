package rpc

import (
	"context"
	"errors"
	"fmt"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/table"
)

// ErrClosed answers calls on a closed Pool.
var ErrClosed = errors.New("rpc: pool closed")

// ErrQueueFull answers a Send whose message was dropped, because the peer takes
// messages more slowly than they come.
var ErrQueueFull = errors.New("rpc: send queue full")

// Unreachable is a call that got no answer because of the way there: no
// connection, a lost one, or a server that refused before it began. With Sent
// false the request was definitely not executed; with Sent true nobody knows
// (I10). A caller's own deadline in the middle of a call is no Unreachable: it
// comes as context.DeadlineExceeded or Canceled, with an unknown outcome.
type Unreachable struct {
	Addr string
	Sent bool
	Err  error
}

func (e *Unreachable) Error() string {
	if e.Sent {
		return fmt.Sprintf("%s: lost in the middle of a call: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("%s: unreachable: %v", e.Addr, e.Err)
}

func (e *Unreachable) Unwrap() error { return e.Err }

// RemoteError is a handler's error of no type that crosses as itself; it was
// logged where it happened. The outcome of the call is unknown (I10).
type RemoteError struct {
	Addr    string
	Message string
}

func (e *RemoteError) Error() string { return e.Addr + ": " + e.Message }

// NotExecuted tells whether err proves that the call it came from did nothing:
// it may be sent again, there or elsewhere.
func NotExecuted(err error) bool {
	if u, ok := errors.AsType[*Unreachable](err); ok {
		return !u.Sent
	}
	_, stale := errors.AsType[*regionnode.Stale](err)
	_, notLeader := errors.AsType[*regionnode.NotLeader](err)
	return stale || notLeader
}

// errorKind says which error a wireError is; numbers are wire format.
type errorKind uint8

const (
	errorRemote errorKind = iota + 1
	errorAPI
	errorStale
	errorNotLeader
	errorDeadline
	errorCanceled
)

// wireError is an error on the wire.
type wireError struct {
	Kind      errorKind     `msgpack:"k"`
	Message   string        `msgpack:"m,omitempty"`
	API       *apierr.Error `msgpack:"a,omitempty"`
	Partition uint64        `msgpack:"p,omitempty"`
	Leader    uint64        `msgpack:"l,omitempty"`
}

// toWire finds the error that crosses inside err; text wrapped around it stays
// behind.
func toWire(err error) wireError {
	if e, ok := errors.AsType[*regionnode.Stale](err); ok {
		return wireError{Kind: errorStale, Partition: uint64(e.Partition), Message: e.Reason}
	}
	if e, ok := errors.AsType[*regionnode.NotLeader](err); ok {
		return wireError{Kind: errorNotLeader, Partition: uint64(e.Partition), Leader: uint64(e.Leader)}
	}
	if e := apierr.Of(err); e != nil {
		return wireError{Kind: errorAPI, API: e}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return wireError{Kind: errorDeadline, Message: err.Error()}
	case errors.Is(err, context.Canceled):
		return wireError{Kind: errorCanceled, Message: err.Error()}
	}
	return wireError{Kind: errorRemote, Message: err.Error()}
}

// fromWire is toWire's inverse.
func fromWire(addr string, e wireError) error {
	switch e.Kind {
	case errorAPI:
		if e.API != nil {
			return e.API
		}
	case errorStale:
		return &regionnode.Stale{Partition: table.PartitionID(e.Partition), Reason: e.Message}
	case errorNotLeader:
		return &regionnode.NotLeader{Partition: table.PartitionID(e.Partition), Leader: table.NodeID(e.Leader)}
	case errorDeadline:
		return fmt.Errorf("%s: %s: %w", addr, e.Message, context.DeadlineExceeded)
	case errorCanceled:
		return fmt.Errorf("%s: %s: %w", addr, e.Message, context.Canceled)
	}
	return &RemoteError{Addr: addr, Message: e.Message}
}
