package item

import (
	"errors"
	"strings"
	"testing"

	"antipode/regionnode/apierr"
)

func nested(depth int, inner string) string {
	return strings.Repeat(`{"M":{"n":`, depth) + inner + strings.Repeat(`}}`, depth)
}

// TestValueFaults has the two wordings as captured on AWS in autumn 2026; one
// text stands for both where they agree.
func TestValueFaults(t *testing.T) {
	const invalid = "One or more parameter values were invalid: "
	for _, c := range []struct{ value, current, older string }{
		{`{}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"a":""}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"S":null}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"L":[{}]}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"M":{"a":{"L":[{"a":1}]}}}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"NS":["1",null]}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", ""},
		{`{"SS":["a",null]}`, invalid + "An string set may not have a null string as a member", ""},
		{`{"S":"a","N":"1"}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes", ""},
		{`{"S":"a","N":"b"}`, "The parameter cannot be converted to a numeric value: b", ""},
		{`{"N":""}`, "The parameter cannot be converted to a numeric value: ", "The parameter cannot be converted to a numeric value"},
		{`{"NS":["1",""]}`, "The parameter cannot be converted to a numeric value: ", "The parameter cannot be converted to a numeric value"},
		{`{"N":"1e126"}`, "Number overflow. Attempting to store a number with magnitude larger than supported range", ""},
		{`{"N":"1e-131"}`, "Number underflow. Attempting to store a number with magnitude smaller than supported range", ""},
		{`{"N":"1e2147483647"}`, "Number overflow. Attempting to store a number with magnitude larger than supported range",
			"Number underflow. Attempting to store a number with magnitude smaller than supported range"},
		{`{"N":"123456789012345678901234567890123456789"}`, "Attempting to store more than 38 significant digits in a Number", ""},
		{`{"NULL":false}`, invalid + "Null attribute value types must have the value of true", ""},
		{`{"NULL":"no"}`, invalid + "Null attribute value types must have the value of true", ""},
		{`{"SS":[]}`, invalid + "An string set  may not be empty", ""},
		{`{"NS":[]}`, invalid + "An number set  may not be empty", ""},
		{`{"BS":[]}`, invalid + "Binary sets should not be empty", ""},
		{`{"M":{"a":{"BS":[]}}}`, invalid + "Binary sets should not be empty", ""},
		{`{"SS":["b","a","b"]}`, invalid + `Input collection ["a", "b", "b"] contains duplicates.`, invalid + "Input collection [b, a, b] contains duplicates."},
		{`{"BS":["/w==","AA==","AA=="]}`, invalid + `Input collection ["AA==","/w==","AA=="]of type BS contains duplicates.`,
			invalid + "Input collection [/w==, AA==, AA==]of type BS contains duplicates."},
		{`{"NS":["2","1","2.0"]}`, invalid + "Input collection contains duplicates.", "Input collection contains duplicates"},
		{`{"NS":["1","2","3","4","5","6","7","8","9","1e0"]}`, invalid + "Input collection contains duplicates.", "Input collection contains duplicates"},
		{nested(32, `{"S":"leaf"}`), "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit", ""},
		{nested(100, `{"S":"leaf"}`), "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit", ""},
		{nested(30, `{"L":[{"L":[{"S":"leaf"}]}]}`), "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit", ""},
		{`{"M":{"":{"S":"x"}}}`, "Empty attribute name", ""},
	} {
		it, err := decodeString(t, `{"a":`+c.value+`,"z":{"S":"after"}}`)
		var fault *ValueError
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v", c.value, err)
			continue
		}
		if c.older == "" {
			c.older = c.current
		}
		if fault.Current() != c.current || fault.Older() != c.older {
			t.Errorf("%s:\n%s\n%s\nwant\n%s\n%s", c.value, fault.Current(), fault.Older(), c.current, c.older)
		}
		if e := apierr.Of(err); e == nil || e.Code != apierr.Validation || e.Message != c.current {
			t.Errorf("%s reaches a client as %v", c.value, e)
		}
		if v, ok := it.Get("z"); !ok || v.Text() != "after" {
			t.Errorf("%s: the rest of the item is %s", c.value, it.AppendJSON(nil))
		}
	}
}

// TestFaultOrder: names of the item itself before the depth, the depth before
// names inside, otherwise the first.
func TestFaultOrder(t *testing.T) {
	deep := nested(40, `{"S":"leaf"}`)
	for text, want := range map[string]Fault{
		`{"":{"S":"x"},"d":` + deep + `}`:                EmptyName,
		`{"d":` + deep + `,"":{"S":"x"}}`:                EmptyName,
		`{"m":{"M":{"":{"S":"x"}}},"d":` + deep + `}`:    TooDeep,
		`{"d":` + deep + `,"m":{"M":{"":{"S":"x"}}}}`:    TooDeep,
		`{"a":{"N":"x"},"b":{"SS":[]},"c":{}}`:           NotNumeric,
		`{"a":{"SS":[]},"b":{"N":"x"}}`:                  EmptySet,
		`{"a":{"S":"x","BOOL":true},"b":{"NULL":false}}`: ManyTypes,
	} {
		_, err := decodeString(t, text)
		var fault *ValueError
		if !errors.As(err, &fault) || fault.Fault != want {
			t.Errorf("%s: %v, want fault %d", text, err, want)
		}
	}
}

func TestDeepestItem(t *testing.T) {
	it, err := decodeString(t, `{"a":`+nested(31, `{"S":"leaf"}`)+`}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := it.Encode().Validate(); err != nil {
		t.Error(err)
	}
}
