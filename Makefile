# The targets of jobnetes; `make help` lists them. Each sets up what it needs.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION)

BUF           := $(GO) run github.com/bufbuild/buf/cmd/buf@v1.75.0
GOLANGCI_LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The test cluster's folder, if it is not the usual one.
CLUSTER := $(if $(CLUSTER_DIR),--dir $(CLUSTER_DIR))

SAMPLES := $(sort $(wildcard example/*.json example/*.yaml))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "%-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/jobnetes
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/jobnetes ./cmd/jobnetes

.PHONY: run
run: build ## build, start `jobnetes dev`, and run the samples in it
	exec bin/jobnetes dev $(addprefix --run ,$(SAMPLES))

.PHONY: test
test: ## run every test, with real MariaDB, Kubernetes and Chromium
	JOBNETES_TEST_ALL=1 $(GO) test -race -timeout 60m ./...
	GO='$(GO)' ./.ci/fuzz 5s

FUZZTIME ?= 3m

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME=d
	GO='$(GO)' ./.ci/fuzz $(FUZZTIME) "$$($(GO) env GOCACHE)/fuzz"

.PHONY: images
images: ## build images into bin/images without Docker, and load them into the test cluster if it runs
	$(GO) run ./test/images/cmd/images --out bin/images --tag '$(or $(VERSION),dev)' --revision "$$(git rev-parse HEAD 2>/dev/null)"
	$(GO) build -o bin/cluster ./test/cluster/cmd/cluster
	bin/cluster load --if-running $(CLUSTER) bin/images/*.tar

.PHONY: cluster
cluster: ## start a Kubernetes with a real node on this machine (Debian, root), and say how to reach it
	$(GO) build -o bin/cluster ./test/cluster/cmd/cluster
	bin/cluster up $(CLUSTER)

.PHONY: cluster-down
cluster-down: ## end it, and remove all of it but the programs in the user's cache
	$(GO) build -o bin/cluster ./test/cluster/cmd/cluster
	bin/cluster down $(CLUSTER)

.PHONY: e2e
e2e: ## run the black-box tests: the binary, and the services as pods on a real node
	JOBNETES_TEST_ALL=1 $(GO) test -race -count=1 -timeout 60m ./test/e2e/...

SCHEDULES ?= 100000
SEED      ?= 1

.PHONY: sim
sim: ## simulate managers and jobapis with every fault: SCHEDULES=n runs, from SEED=s on
	JOBNETES_TEST_ALL=1 SCHEDULES=$(SCHEDULES) SEED=$(SEED) $(GO) test -count=1 -timeout 2h -v -run 'TestSchedules|TestReplays|TestPoison' ./test/sim

MINUTES ?= 10

.PHONY: chaos
chaos: ## run the services through crashes, outages and upgrades: MINUTES=n of faults, of SEED=s
	@rm -f test/out/chaos.json
	@status=0; JOBNETES_TEST_ALL=1 MINUTES=$(MINUTES) SEED=$(SEED) $(GO) test -count=1 -timeout 24h -v -run TestChaos ./test/chaos || status=$$?; \
	if [ -f test/out/chaos.json ]; then cat test/out/chaos.json; fi; exit $$status

.PHONY: bench
bench: build ## measure jobnetes beside the floor of this machine: SCENARIO=a,b (default: all), SIZE=n of the largest, PROFILE=1
	@mkdir -p bench/out && rm -f bench/out/table.txt && rm -rf $(if $(PROFILE),bench/out/profiles)
	@status=0; JOBNETES_TEST_ALL=1 SCENARIO='$(or $(SCENARIO),all)' SIZE='$(SIZE)' PROFILE='$(PROFILE)' $(GO) test -count=1 -timeout 24h -v -run TestBench ./bench >&2 || status=$$?; \
	if [ -f bench/out/table.txt ]; then cat bench/out/table.txt; fi; exit $$status

.PHONY: bench-docs
bench-docs: ## put the figures of bench/out/results.json into docs/performance.md
	DOCS=1 $(GO) test -count=1 -run TestDocs ./bench

.PHONY: lint
lint: ## check style, import directions, and that generated code is up to date
	test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) mod tidy -diff
	$(GOLANGCI_LINT) run ./...
	./.ci/generated-is-current

.PHONY: generate
generate: ## generate the Go of proto/jobapi.proto, and the mocks
	$(BUF) lint
	$(BUF) generate
	$(GO) generate ./...
