// Command layers checks which of antipode's packages import which: the folders'
// direction (functions → regionnode → replication) and, package by package, the
// table of allowed imports below. Run from the module's root: go run ./.ci/layers.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
)

// allowed lists, for each package, which of ours it may import. A trailing /…
// covers a folder. A package that is not listed may not exist.
var allowed = map[string][]string{
	"replication/hlc":             {},
	"replication":                 {"replication/hlc"},
	"replication/link":            {"replication", "replication/hlc"},
	"replication/replicationtest": {"replication/…"},

	"regionnode/apierr":        {},
	"regionnode/memory":        {},
	"regionnode/item/jsonscan": {},
	"regionnode/item":          {"regionnode/apierr", "regionnode/item/jsonscan"},
	"regionnode/table":         {"regionnode/apierr", "regionnode/item"},
	"regionnode/expr":          {"regionnode/apierr", "regionnode/item", "regionnode/table"},
	"regionnode/partiql":       {"regionnode", "regionnode/apierr", "regionnode/item", "regionnode/item/jsonscan", "regionnode/table", "regionnode/expr"},
	"regionnode":               {"regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/expr", "replication", "replication/hlc"},

	"regionnode/internal/ring":       {},
	"regionnode/internal/keys":       {"regionnode/item", "regionnode/table", "replication", "replication/hlc"},
	"regionnode/internal/store":      {"regionnode/internal/keys", "regionnode/item", "regionnode/table", "replication", "replication/hlc"},
	"regionnode/internal/liveness":   {"regionnode/table"},
	"regionnode/internal/partition":  {"regionnode", "regionnode/internal/keys", "regionnode/internal/liveness", "regionnode/internal/store", "regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/expr", "regionnode/internal/transaction/protocol", "replication", "replication/hlc"},
	"regionnode/internal/rpc":        {"regionnode", "regionnode/apierr", "regionnode/table", "replication", "replication/hlc"},
	"regionnode/internal/gossip":     {"regionnode/internal/ring", "regionnode/table"},
	"regionnode/internal/catalog":    {"regionnode", "regionnode/apierr", "regionnode/table", "regionnode/item", "regionnode/internal/partition", "regionnode/internal/ring", "regionnode/internal/rpc", "replication", "replication/hlc"},
	"regionnode/internal/controller": {"regionnode", "regionnode/apierr", "regionnode/table", "regionnode/internal/catalog", "regionnode/internal/partition", "regionnode/internal/ring", "regionnode/internal/rpc", "replication", "replication/hlc"},
	// protocol is transactions' rules alone, pure, so that a checker can drive them.
	"regionnode/internal/transaction/protocol": {"regionnode", "replication", "replication/hlc"},
	"regionnode/internal/transaction":          {"regionnode", "regionnode/internal/transaction/protocol", "regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/expr", "regionnode/internal/ring", "replication", "replication/hlc"},
	"regionnode/internal/index":                {"regionnode", "regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/expr", "regionnode/internal/ring", "replication", "replication/hlc"},
	"regionnode/internal/expiry":               {"regionnode", "regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/expr", "regionnode/internal/ring", "replication", "replication/hlc"},
	"regionnode/internal/scrub":                {"regionnode", "regionnode/table"},
	"regionnode/client":                        {"replication", "replication/hlc", "regionnode", "regionnode/apierr", "regionnode/item", "regionnode/table", "regionnode/internal/ring", "regionnode/internal/rpc"},
	"regionnode/node":                          {"regionnode/…", "replication/…"},
	"regionnode/cmd/regionnode":                {"regionnode/memory", "regionnode/node", "regionnode", "replication"},

	"functions/wire":    {"regionnode/apierr", "regionnode/item", "regionnode/item/jsonscan"},
	"functions/sigv4":   {"regionnode/apierr"},
	"functions":         {"functions/wire", "functions/sigv4", "regionnode", "regionnode/apierr", "regionnode/item", "regionnode/item/jsonscan", "regionnode/table", "regionnode/expr", "regionnode/partiql"},
	"functions/cmd/api": {"functions", "functions/sigv4", "functions/wire", "regionnode", "regionnode/client", "regionnode/memory"},

	"localstack/cluster":      {"functions", "functions/sigv4", "regionnode", "regionnode/client", "regionnode/node", "replication", "replication/link"},
	"localstack/drill":        {"functions", "regionnode", "regionnode/client", "regionnode/node", "replication/link", "localstack/cluster"},
	"localstack/emulator":     {"localstack/cluster"},
	"localstack/conformance":  {"localstack/cluster"},
	"localstack/chaos":        {"localstack/chaos/history", "localstack/cluster", "regionnode/node", "regionnode/table"},
	"localstack/bench":        {"localstack/cluster"},
	"localstack/cmd/antipode": {"localstack/…", "functions", "regionnode", "regionnode/client", "regionnode/memory", "regionnode/node", "regionnode/table"},
	"infra":                   {},

	// history judges what clients saw, in tests of partitions too.
	"localstack/chaos/history": {},
}

func main() {
	bad, err := check()
	if err != nil {
		fmt.Fprintln(os.Stderr, "layers:", err)
		os.Exit(2)
	}
	for _, line := range bad {
		fmt.Println(line)
	}
	if len(bad) > 0 {
		os.Exit(1)
	}
}

// check returns one line for each import that the table does not allow. Test
// files are free: they may stand a real node under what they test.
func check() ([]string, error) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var bad []string
	scanner := bufio.NewScanner(strings.NewReader(string(out)))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		pkg := strings.TrimPrefix(fields[0], "antipode/")
		rule, known := ruleFor(pkg)
		if !known {
			bad = append(bad, pkg+": not in the layout")
			continue
		}
		for _, imp := range fields[1:] {
			ours, isOurs := strings.CutPrefix(imp, "antipode/")
			if isOurs && !permits(rule, ours) {
				bad = append(bad, pkg+" may not import "+ours)
			}
		}
	}
	sort.Strings(bad)
	return bad, scanner.Err()
}

func ruleFor(pkg string) ([]string, bool) {
	if strings.HasPrefix(pkg, "infra/") {
		pkg = "infra"
	}
	if strings.HasPrefix(pkg, "localstack/conformance/") {
		pkg = "localstack/conformance"
	}
	rule, ok := allowed[pkg]
	return rule, ok
}

func permits(rule []string, pkg string) bool {
	for _, r := range rule {
		if dir, isDir := strings.CutSuffix(r, "/…"); isDir && (pkg == dir || strings.HasPrefix(pkg, dir+"/")) {
			return true
		}
		if r == pkg {
			return true
		}
	}
	return false
}
