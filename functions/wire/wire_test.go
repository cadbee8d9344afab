package wire

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"antipode/regionnode/apierr"
)

// TestDecode runs the scripts: a request body for an operation in; what was
// understood, or the error's body, out.
func TestDecode(t *testing.T) {
	datadriven.Walk(t, "testdata/decode", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			op := operationNamed(t, d)
			in, err := Decode(op, []byte(d.Input))
			if err != nil {
				return string(AppendError(nil, apierr.Of(err))) + "\n"
			}
			return jsonString(in) + "\n"
		})
	})
}

// operationNamed finds the operation that the script's command names.
func operationNamed(t *testing.T, d *datadriven.TestData) Operation {
	for op, name := range operationNames {
		if name == d.Cmd {
			return Operation(op)
		}
	}
	d.Fatalf(t, "no operation %s", d.Cmd)
	return 0
}
