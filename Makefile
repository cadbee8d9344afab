# Everything a developer runs. `make help` lists it.
GO      ?= go
BIN     := bin
# infra has its own targets: CDK is heavy to build.
PKGS    := ./functions/... ./regionnode/... ./replication/... ./localstack/...
LDFLAGS := -s -w

.DEFAULT_GOAL := help
.PHONY: help build run test race lint bench conformance check-indexes conformance-global conformance-spread chaos simulation failover repair upgrade powercut defects scale fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/antipode, bin/regionnode and bin/api
	@mkdir -p $(BIN)
	$(GO) build -trimpath -o $(BIN)/ ./localstack/cmd/antipode ./regionnode/cmd/regionnode
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='$(LDFLAGS)' -o $(BIN)/api ./functions/cmd/api

run: build ## three regions on this machine; ARGS are passed to `antipode up`
	$(BIN)/antipode up $(ARGS)

test: ## all tests but the long ones
	$(GO) test $(PKGS)

race: ## all tests under the race detector
	$(GO) test -race -timeout 40m $(PKGS)

lint: ## golangci-lint, gofmt, vet and the folders' import rules
	$(GO) run ./.ci/layers
	$(GO) vet $(PKGS)
	@out=$$(gofmt -l functions regionnode replication localstack .ci); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) tool -modfile=.ci/lint/go.mod golangci-lint run $(PKGS)

simulation: SEEDS = 10000
simulation: ## SEEDS simulations of several regions, from seed FIRST on, in two processes
	@mkdir -p $(BIN)
	$(GO) test -c -o $(BIN)/simulation ./replication/replicationtest
	@half=$$(( $(SEEDS) / 2 )); first=$(or $(FIRST),1); \
	$(BIN)/simulation -test.run TestSimulations -test.timeout 0 -test.v -seeds $$half -seed $$first & one=$$!; \
	$(BIN)/simulation -test.run TestSimulations -test.timeout 0 -test.v -seeds $$(( $(SEEDS) - half )) -seed $$(( first + half )); two=$$?; \
	wait $$one && exit $$two

bench: build ## floors, product and replication lag, in one run; table on stdout, JSON in bin/bench.json
	$(BIN)/antipode bench --json-file $(BIN)/bench.json $(ARGS)

conformance: build ## DynamoDB's behaviour through the AWS SDK; ENDPOINT=… tests another server
	$(GO) test -count=1 -timeout 30m ./localstack/conformance $(if $(ENDPOINT),-args -endpoint=$(ENDPOINT))

conformance-global: build ## Global Tables through the AWS SDK; ENDPOINT=aws, a URL or region=URL,… tests other servers, REGIONS names two or more
	$(GO) test -count=1 -timeout 3h ./localstack/conformance/globaltables -args $(if $(ENDPOINT),-endpoint=$(ENDPOINT)) $(if $(REGIONS),-regions=$(REGIONS))

conformance-spread: ## the same on three nodes, over several partitions that split all the time
	$(GO) test -count=1 -timeout 30m ./localstack/conformance -args -nodes=3 -replication=3 -partitions=4 -split-size=64KiB
	$(GO) test -count=1 -timeout 30m ./localstack/conformance/globaltables -args -nodes=3 -replication=3 -partitions=4

SEEDS ?= 300
check-indexes: ## SEEDS random lives of tables, with crashes: every index equals its table
	$(GO) test -count=1 -timeout 30m -run TestIndexEqualsTable ./regionnode/internal/index -seeds $(SEEDS) -first-seed 1000

powercut: ## take the power from all members of a group under load, SEEDS plans from SEED on; nothing acknowledged may be lost
	$(GO) test -count=1 -timeout 60m -run TestPowerCut ./regionnode/internal/partition -args -powercuts $(SEEDS) -first-powercut $(if $(filter 0,$(SEED)),1,$(SEED))

DURATION ?= 60s
SEED     ?= 0
RUNS     ?= 1
chaos: ## kill, freeze and restart nodes under load for DURATION, check what clients saw; SEED repeats a plan, RUNS makes more
	$(GO) test -count=1 -v -timeout 24h -run TestChaos ./localstack/chaos -args -duration $(DURATION) -seed $(SEED) -seeds $(RUNS)

defects: ## break the code in known ways, and see that the tests notice; ARGS is part of a name
	$(GO) run ./.ci/defects $(ARGS)

ROUNDS ?= 20
failover: ## how long a partition takes no writes when its leader is killed or frozen, ROUNDS times each
	$(GO) test -count=1 -v -timeout 2h -run TestFailover ./localstack/chaos -args -failovers $(ROUNDS)

MB ?= 256
repair: ## how long it takes until a dead node's replicas, of MB of items, are on others, and what clients feel of it
	$(GO) test -count=1 -v -timeout 2h -run TestRepair ./localstack/chaos -args -repair-mb $(MB)

BASE ?= HEAD~1
upgrade: ## exchange BASE's nodes for today's under load, and back: no request fails
	$(GO) test -count=1 -v -timeout 1h -run TestUpgrade ./localstack/chaos -args -base $(BASE)

TABLES     ?= 10
PARTITIONS ?= 1000
IDLE       ?= 30s
scale: ## what TABLES of PARTITIONS each cost three nodes with nothing to do, looked at for IDLE, and a node's death
	$(GO) test -count=1 -v -timeout 2h -run TestScale ./localstack/chaos -args -tables $(TABLES) -partitions $(PARTITIONS) -idle $(IDLE)

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list $(PKGS)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

clean: ## remove what the other targets made
	rm -rf $(BIN) .antipode
