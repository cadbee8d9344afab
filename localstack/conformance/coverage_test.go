package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// seen is what the suite's clients have seen of each operation.
var seen = struct {
	sync.Mutex
	answered, refused map[string]bool
}{answered: map[string]bool{}, refused: map[string]bool{}}

// recorded is among the options of every client.
var recorded = []func(*middleware.Stack) error{record}

// record is the middleware of every client of the suite: it notes which
// operation was answered and which was refused by the server, so that the suite
// can tell what it does not test.
func record(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("record",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			name := awsmiddleware.GetOperationName(ctx)
			var api smithy.APIError
			seen.Lock()
			defer seen.Unlock()
			switch {
			case err == nil:
				seen.answered[name] = true
			case errors.As(err, &api):
				seen.refused[name] = true
			}
			return out, metadata, err
		}), middleware.After)
}

// untested lists the operations that the suite has not seen answered and
// refused. What the server does not have can only be refused, and what takes no
// input only be answered.
func untested() (faults []string) {
	seen.Lock()
	defer seen.Unlock()
	for _, name := range slices.Sorted(maps.Keys(operations())) {
		if absent[name] && !ownServer() {
			continue
		}
		if !seen.answered[name] && !absent[name] && !legacyGlobal[name] {
			faults = append(faults, name+" was never answered")
		}
		if !seen.refused[name] && operations()[name] > 0 {
			faults = append(faults, name+" was never refused")
		}
	}
	return faults
}

// operations are those of the SDK's clients, with how many members their input
// has.
func operations() map[string]int {
	all := map[string]int{}
	for _, client := range []reflect.Type{reflect.TypeFor[*dynamodb.Client](), reflect.TypeFor[*dynamodbstreams.Client]()} {
		for i := range client.NumMethod() {
			m := client.Method(i)
			if m.Type.NumIn() != 4 || !m.Type.IsVariadic() { // receiver, context, input, options
				continue
			}
			members := 0
			for _, f := range reflect.VisibleFields(m.Type.In(2).Elem()) {
				if f.IsExported() {
					members++
				}
			}
			all[m.Name] = members
		}
	}
	return all
}

// whole says whether this run is to run every test.
func whole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// covered is the exit code of a run: a whole one fails if it left out an
// operation.
func covered(code int) int {
	if code != 0 || !whole() {
		return code
	}
	for _, fault := range untested() {
		fmt.Println("coverage:", fault)
		code = 1
	}
	return code
}
