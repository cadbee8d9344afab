package rpc

import (
	"context"
	"math/rand/v2"
	"reflect"
	"testing"

	"antipode/regionnode"
	"antipode/regionnode/apierr"
	"antipode/regionnode/expr"
	"antipode/regionnode/item"
	"antipode/regionnode/table"
)

// scripted is a Service that keeps what it is asked and answers what it is told.
type scripted struct {
	asked  any
	answer any
	err    error
}

func answered[Resp any](s *scripted, asked any) (*Resp, error) {
	s.asked = asked
	if s.err != nil {
		return nil, s.err
	}
	return s.answer.(*Resp), nil
}

func (s *scripted) Get(_ context.Context, r *regionnode.GetRequest) (*regionnode.GetResponse, error) {
	return answered[regionnode.GetResponse](s, r)
}

func (s *scripted) Write(_ context.Context, r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) {
	return answered[regionnode.WriteResponse](s, r)
}

func (s *scripted) Range(_ context.Context, r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) {
	return answered[regionnode.RangeResponse](s, r)
}

func (s *scripted) BatchGet(_ context.Context, r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
	return answered[regionnode.BatchGetResponse](s, r)
}

func (s *scripted) BatchWrite(_ context.Context, r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
	return answered[regionnode.BatchWriteResponse](s, r)
}

func (s *scripted) CreateTable(_ context.Context, r *regionnode.CreateTableRequest) (*table.Descriptor, error) {
	return answered[table.Descriptor](s, r)
}

func (s *scripted) UpdateTable(_ context.Context, r *regionnode.UpdateTableRequest) (*table.Descriptor, error) {
	return answered[table.Descriptor](s, r)
}

func (s *scripted) DescribeTable(_ context.Context, name string) (*table.Descriptor, error) {
	return answered[table.Descriptor](s, name)
}

func (s *scripted) DeleteTable(_ context.Context, name string) (*table.Descriptor, error) {
	return answered[table.Descriptor](s, name)
}

func (s *scripted) ListTables(_ context.Context, start string, limit int) ([]string, bool, error) {
	r, err := answered[listResponse](s, listRequest{start, limit})
	if err != nil {
		return nil, false, err
	}
	return r.Names, r.More, nil
}

func (s *scripted) Partitions(_ context.Context, id table.ID) (*regionnode.PartitionMap, error) {
	return answered[regionnode.PartitionMap](s, id)
}

// filler gives every exported field of a value something that is not zero.
type filler struct {
	rand        *rand.Rand
	expressions map[reflect.Type]reflect.Value
}

func newFiller(t *testing.T) *filler {
	subs := func() *expr.Substitutions {
		return expr.NewSubstitutions(map[string]string{"#a": "name"}, map[string]item.Value{":v": item.Bool(true)})
	}
	condition, err := expr.ParseCondition(expr.ConditionExpression, "attribute_exists(b.c[1]) AND #a = :v", subs())
	if err != nil {
		t.Fatal(err)
	}
	update, err := expr.ParseUpdate("SET #a = :v REMOVE b.c", subs())
	if err != nil {
		t.Fatal(err)
	}
	projection, err := expr.ParseProjection("#a, b.c[2]", subs())
	if err != nil {
		t.Fatal(err)
	}
	f := &filler{rand.New(rand.NewPCG(1, 2)), map[reflect.Type]reflect.Value{}}
	for _, x := range []any{condition, update, projection} {
		f.expressions[reflect.TypeOf(x)] = reflect.ValueOf(x)
	}
	return f
}

func (f *filler) fill(v reflect.Value) {
	if x, ok := f.expressions[v.Type()]; ok {
		v.Set(x)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.String:
		v.SetString([]string{"eu-west-1", "ключ", "a"}[f.rand.IntN(3)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.rand.Int64() - f.rand.Int64())
	case reflect.Uint8:
		v.SetUint(1 + f.rand.Uint64N(255))
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(1 + f.rand.Uint64N(1<<16-1))
	case reflect.Uint64:
		v.SetUint(f.rand.Uint64())
	default:
		panic("fill " + v.Type().String())
	}
}

func filled[T any](f *filler) *T {
	v := new(T)
	f.fill(reflect.ValueOf(v).Elem())
	return v
}

func TestServiceCrosses(t *testing.T) {
	server, addr := serve(t, Config{})
	far := new(scripted)
	RegisterService(server, far)
	near := NewServiceClient(dial(t, Config{}), addr)
	f := newFiller(t)
	ctx := within(t)

	crosses(t, "Get", f, far, func(r *regionnode.GetRequest) (*regionnode.GetResponse, error) { return near.Get(ctx, r) })
	crosses(t, "Write", f, far, func(r *regionnode.WriteRequest) (*regionnode.WriteResponse, error) { return near.Write(ctx, r) })
	crosses(t, "Range", f, far, func(r *regionnode.RangeRequest) (*regionnode.RangeResponse, error) { return near.Range(ctx, r) })
	crosses(t, "BatchGet", f, far, func(r *regionnode.BatchGetRequest) (*regionnode.BatchGetResponse, error) {
		return near.BatchGet(ctx, r)
	})
	crosses(t, "BatchWrite", f, far, func(r *regionnode.BatchWriteRequest) (*regionnode.BatchWriteResponse, error) {
		return near.BatchWrite(ctx, r)
	})
	crosses(t, "CreateTable", f, far, func(r *regionnode.CreateTableRequest) (*table.Descriptor, error) { return near.CreateTable(ctx, r) })
	crosses(t, "UpdateTable", f, far, func(r *regionnode.UpdateTableRequest) (*table.Descriptor, error) { return near.UpdateTable(ctx, r) })
	crosses(t, "DescribeTable", f, far, func(r *string) (*table.Descriptor, error) { return near.DescribeTable(ctx, *r) })
	crosses(t, "DeleteTable", f, far, func(r *string) (*table.Descriptor, error) { return near.DeleteTable(ctx, *r) })
	crosses(t, "Partitions", f, far, func(r *table.ID) (*regionnode.PartitionMap, error) { return near.Partitions(ctx, *r) })
	crosses(t, "ListTables", f, far, func(r *listRequest) (*listResponse, error) {
		names, more, err := near.ListTables(ctx, r.Start, r.Limit)
		if err != nil {
			return nil, err
		}
		return &listResponse{names, more}, nil
	})
}

// crosses calls one method with a filled request and a zero one, and has an
// error come back.
func crosses[Req, Resp any](t *testing.T, name string, f *filler, far *scripted, call func(*Req) (*Resp, error)) {
	t.Run(name, func(t *testing.T) {
		for _, req := range []*Req{filled[Req](f), new(Req)} {
			want := filled[Resp](f)
			far.answer, far.err = want, nil
			got, err := call(req)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("answer %+v, want %+v", got, want)
			}
			asked := reflect.Indirect(reflect.ValueOf(far.asked)).Interface()
			if !reflect.DeepEqual(asked, *req) {
				t.Errorf("request %+v, want %+v", asked, *req)
			}
		}
		far.err = apierr.NotFound()
		if got, err := call(new(Req)); !reflect.DeepEqual(err, far.err) || got != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
