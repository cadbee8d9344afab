package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"antipode/localstack/cluster"
)

// What `up` tells a user to try must fit how it was started.
func TestUpPrintsWhatFits(t *testing.T) {
	info := &cluster.Info{Endpoint: "http://127.0.0.1:8000", Regions: []cluster.RegionInfo{
		{Region: "us-east-1", Nodes: []cluster.NodeInfo{{Admin: "http://127.0.0.1:1"}, {Admin: "http://127.0.0.1:2"}}},
		{Region: "eu-west-1", Nodes: []cluster.NodeInfo{{Admin: "http://127.0.0.1:3"}}},
	}}
	status := "  " + os.Args[0] + " status"
	for _, test := range []struct {
		name        string
		flags       upFlags
		has, hasNot string
	}{
		{"default", upFlags{config: cluster.Config{Dir: defaultDir}}, status + "\n", "--data"},
		{"directory", upFlags{config: cluster.Config{Dir: "elsewhere"}}, status + " --data elsewhere\n", "--admin"},
		{
			"in memory", upFlags{config: cluster.Config{Dir: defaultDir, InMemory: true}},
			status + " --admin http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:3\n", "--data",
		},
		{"any key", upFlags{}, "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local ", "its secret"},
		{"own key", upFlags{credentials: []string{"KEY:hidden", "OTHER:x"}}, "AWS_ACCESS_KEY_ID=KEY ", "hidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			test.flags.print(&out, info, time.Millisecond)
			if !strings.Contains(out.String(), test.has) {
				t.Errorf("%q is missing in:\n%s", test.has, out.String())
			}
			if strings.Contains(out.String(), test.hasNot) {
				t.Errorf("%q is in:\n%s", test.hasNot, out.String())
			}
		})
	}
}
