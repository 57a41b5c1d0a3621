# `make` lists the targets. Go is all that is needed to build, run and test.

FUZZTIME ?= 30s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# On CI, and in check, the tests run under the race detector, and none comes
# from the cache; a machine that is slow gets its time. That needs a C compiler; a plain
# make test does not.
RACE = -race -count=1 -timeout 30m
TESTFLAGS ?= $(if $(CI),$(RACE))

# What the compiler optimises a release by: a profile of doorhook under load. Its name
# is not default.pgo, so that go run and go test do without, and compile nothing twice.
# The Dockerfile and the bench name it too.
PGO = cmd/doorhook/release.pgo

# The tools are a module of their own: they move none of doorhook's versions.
# Go builds them when they are first called (a minute or two) and keeps them.
TOOL = go tool -modfile=tools/go.mod

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the whole job on this machine: embedded Redis, a fake Kisi, sample triggers
	go run ./cmd/doorhook demo

.PHONY: build
build: ## bin/doorhook, a static binary
	CGO_ENABLED=0 go build -trimpath -pgo=$(PGO) -ldflags '-s -w $(if $(VERSION),-X main.version=$(VERSION))' -o bin/doorhook ./cmd/doorhook

.PHONY: test
test: ## all tests; with CI=true under the race detector, and with redis-server required
	@command -v redis-server >/dev/null || echo "redis-server is not installed: what needs a real Redis is $(if $(CI),going to fail,skipped)."
	go test $(TESTFLAGS) ./...

.PHONY: check
check: static ## everything that has to hold before a change goes in: static, then test under -race
	@$(MAKE) --no-print-directory test TESTFLAGS="$(RACE)"

.PHONY: static
static: fmt-check vet lint tidy deadcode ## all of check but the tests

.PHONY: fmt
fmt: ## format the code (gofumpt)
	$(TOOL) golangci-lint fmt

.PHONY: fmt-check
fmt-check:
	$(TOOL) golangci-lint fmt --diff

.PHONY: fix
fix: ## format, and let the linters mend what they can
	$(TOOL) golangci-lint run --fix

.PHONY: vet
vet:
	go vet ./...

.PHONY: lint
lint: ## golangci-lint, as .golangci.yml has it
	$(TOOL) golangci-lint run

.PHONY: tidy
tidy:
	go mod tidy -diff

# Prints nothing when it is content, and exits with 0 either way.
.PHONY: deadcode
deadcode:
	@echo "deadcode ./..."
	@found=$$($(TOOL) deadcode ./...) && { [ -z "$$found" ] || { echo "$$found"; exit 1; }; }

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each (30s)
	@set -e; for pkg in $$(go list ./...); do \
		targets=$$(go test -run '^$$' -list '^Fuzz' $$pkg); \
		for target in $$(echo "$$targets" | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## how fast doorhook is beside the ceilings of this machine, and what it is to reach: six minutes (Linux, redis-server)
	go run ./bench $(BENCHFLAGS)

PGO_ROWS = "accept" "accept, work and deliver" "accept, bookings with two actions later"

.PHONY: pgo
pgo: ## what a release is optimised by, measured anew: cmd/doorhook/release.pgo (Linux, redis-server)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; trap 'exit 1' INT TERM; n=0; \
	for row in $(PGO_ROWS); do \
		n=$$((n+1)); echo "== $$row"; \
		go run ./bench -for 10s -rounds 1 -run "$$row" -profile "$$dir/$$n.pprof" $(BENCHFLAGS) >"$$dir/said" 2>&1 || { cat "$$dir/said"; exit 1; }; \
	done; \
	go tool pprof -symbolize=none -proto "$$dir"/?.pprof >"$$dir/release.pgo"; \
	mv "$$dir/release.pgo" $(PGO); \
	echo "wrote $(PGO): $$(wc -c <$(PGO)) bytes"

.PHONY: soak
soak: ## ten minutes of steady load: does the memory grow? (Linux, redis-server)
	go run ./bench -soak 10m -run soak $(BENCHFLAGS)

.PHONY: microbench
microbench: ## all Go benchmarks
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# Which benchmarks, how often for each side, and in which packages.
BENCH ?= .
COUNT ?= 6
PKG   ?= ./...

.PHONY: microbench-compare
microbench-compare: ## the Go benchmarks of BASE, a commit, beside those of this tree
	@[ -n "$(BASE)" ] || { echo "say what to compare with: make microbench-compare BASE=main"; \
		echo "BENCH=Plan takes some benchmarks alone, PKG=./internal/rules some packages, COUNT=10 more rounds than 6."; exit 2; }
	@set -e; dir=$$(mktemp -d); \
	trap 'git worktree remove --force "$$dir/base" 2>/dev/null; rm -rf "$$dir"' EXIT; trap 'exit 1' INT TERM; \
	git worktree add --quiet --detach "$$dir/base" "$(BASE)"; \
	bench() { go test -run '^$$' -bench '$(BENCH)' -benchmem -cpu 1 -count $(COUNT) $(PKG); }; \
	echo "== $(BASE)"; (cd "$$dir/base" && bench >"$$dir/base.txt") || { cat "$$dir/base.txt"; exit 1; }; \
	echo "== this tree"; bench >"$$dir/tree.txt" || { cat "$$dir/tree.txt"; exit 1; }; \
	$(TOOL) benchstat "$(BASE)=$$dir/base.txt" "this tree=$$dir/tree.txt"

.PHONY: chaos
chaos: ## kill doorhook and Redis 200 times under load; nothing may be lost, doubled or late (Linux, redis-server)
	go run ./internal/chaos

.PHONY: vuln
vuln: ## known vulnerabilities in what doorhook calls; asks vuln.go.dev
	$(TOOL) govulncheck ./...

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist doorhook
