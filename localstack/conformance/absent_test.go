package conformance

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// absent are the operations that antipode does not have.
var absent = map[string]bool{
	"CancelBulkOperation": true, "CreateBackup": true, "DeleteBackup": true, "DescribeBackup": true, "DescribeBulkOperation": true,
	"DescribeExport": true, "DescribeImport": true, "DisableKinesisStreamingDestination": true, "EnableKinesisStreamingDestination": true,
	"ExportTableToPointInTime": true, "ImportTable": true, "ListBulkOperations": true, "RestoreTableFromBackup": true,
	"RestoreTableToPointInTime": true, "SearchVectors": true, "StartBulkPutItems": true, "UpdateContinuousBackups": true,
	"UpdateContributorInsights": true, "UpdateKinesisStreamingDestination": true, "UpdateTableReplicaAutoScaling": true,
}

// legacyGlobal are the operations of global tables of version 2017.11.29, which
// AWS refuses too: there are no such tables.
var legacyGlobal = map[string]bool{
	"CreateGlobalTable": true, "DescribeGlobalTable": true, "DescribeGlobalTableSettings": true,
	"UpdateGlobalTable": true, "UpdateGlobalTableSettings": true,
}

// TestAbsentOperations: what the server does not have is refused by name.
func TestAbsentOperations(t *testing.T) {
	if !ownServer() {
		return // another server may have them
	}
	client := reflect.ValueOf(in(target.regions[0]))
	for name := range absent {
		method := client.MethodByName(name)
		if !method.IsValid() {
			t.Errorf("the SDK has no operation %s", name)
			continue
		}
		input := reflect.New(method.Type().In(1).Elem())
		complete(input.Elem(), 0)
		result := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
		err, _ := result[1].Interface().(error)
		if err == nil {
			t.Errorf("%s was answered", name)
			continue
		}
		if got, want := refusal(t, err), "UnknownOperationException: "+name+" is not available in antipode"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// complete gives every member of an input a value, so that the SDK sends it.
func complete(v reflect.Value, depth int) {
	if depth > 20 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		complete(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				complete(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		complete(v.Index(0), depth+1)
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		complete(e, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), e)
	case reflect.String:
		v.SetString("x")
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[types.AttributeValue]() {
			v.Set(reflect.ValueOf(&types.AttributeValueMemberS{Value: "x"}))
		}
	}
}

// ownServer says whether the cluster was started by this run.
func ownServer() bool { return *endpointFlag == "" }
