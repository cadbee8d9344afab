package wire

import (
	"strings"
	"testing"
)

func benchmarkDecode(b *testing.B, op Operation, body string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	raw := []byte(body)
	for b.Loop() {
		if _, err := Decode(op, raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePutItem1KB(b *testing.B) {
	benchmarkDecode(b, PutItem, `{"TableName":"Music","Item":{"pk":{"S":"user#12345"},"sk":{"N":"1700000000"},"artist":{"S":"somebody"},"data":{"S":"`+
		strings.Repeat("x", 900)+`"},"ok":{"BOOL":true}}}`)
}

func BenchmarkDecodeUpdateItem(b *testing.B) {
	benchmarkDecode(b, UpdateItem, `{"TableName":"Music","Key":{"pk":{"S":"user#12345"}},"UpdateExpression":"SET #a = :a, #b = #b + :b","ExpressionAttributeNames":{"#a":"artist","#b":"count"},"ExpressionAttributeValues":{":a":{"S":"x"},":b":{"N":"1"}},"ReturnValues":"ALL_NEW"}`)
}

func BenchmarkDecodeBatchWriteItem25(b *testing.B) {
	one := `{"PutRequest":{"Item":{"pk":{"S":"user#12345"},"data":{"S":"` + strings.Repeat("x", 200) + `"}}}},`
	benchmarkDecode(b, BatchWriteItem, `{"RequestItems":{"Music":[`+strings.TrimSuffix(strings.Repeat(one, 25), ",")+`]}}`)
}
