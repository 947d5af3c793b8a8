GO       ?= go
FUZZTIME ?= 60s
BENCH    ?= .

# Linters have a module of their own, so that nobody who imports holdfast downloads them.
TOOL = $(GO) tool -modfile=tools/go.mod

.PHONY: test build deps format vet staticcheck mutants race acceptance interop browser bench bench-issuer fuzz lint vuln demo model

# Everything that must hold before a change is merged.
test: deps format vet staticcheck mutants race interop browser

build:
	$(GO) build -trimpath -o bin/holdfast ./cmd/holdfast

# The race detector needs a C compiler, issuer/store a PostgreSQL server to test against, and the issuer's pages a browser; a
# fresh machine may have none of them.
deps:
	@command -v $${CC:-gcc} >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc libc6-dev >/dev/null; }
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq postgresql >/dev/null; }
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
	$(GO) mod download

format:
	@bad=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +); \
	if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

# Every mutant of every accepted request. With the race detector, which race runs it under, there is time for a sample.
mutants:
	$(GO) test ./internal/conformance

race:
	$(GO) test -race -timeout 15m ./...

# Issuer and gateways as they are run, at full size: minutes. race runs the same at a size that fits into it.
acceptance:
	$(GO) test -count=1 -timeout 60m -v ./test/acceptance -full

# Other implementations, from npm and in Go: docs/interop.md.
interop:
	cd test/interop && npm ci --no-fund --no-audit && $(GO) vet ./... && $(GO) test -race -count=1 -timeout 10m ./...

# The issuer's pages in Chromium. In test/browser, `go test -update` writes the pictures of docs/users.md.
browser:
	cd test/browser && npm ci --no-fund --no-audit && $(GO) vet ./... && $(GO) test -count=1 -timeout 10m ./...

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# The issuer as it is run, beside npm's oidc-provider, each on one processor with the client on another (Linux); then
# refreshes on both databases. docs/performance.md says what it measures.
bench-issuer:
	cd test/interop && npm ci --no-fund --no-audit
	taskset -c 1 $(GO) test -run '^$$' -bench IssuerTokens -benchtime 1x -timeout 30m ./test/acceptance -full
	$(GO) test -run '^$$' -bench IssuerRefresh -benchtime 2000x ./test/acceptance

fuzz:
	GO="$(GO)" FUZZTIME='$(FUZZTIME)' .ci/fuzz

lint: format vet staticcheck vuln

# govulncheck asks the public vulnerability database, which a closed network may not reach: that is said, never hidden.
vuln:
	@if curl -sSf -m 20 -o /dev/null https://vuln.go.dev/index/db.json; then $(TOOL) govulncheck ./...; \
	else echo "govulncheck: NOT RUN, https://vuln.go.dev is out of reach"; fi

demo:
	$(GO) run ./cmd/holdfast demo

# The formal models. ProVerif is no Debian package: install it as its manual says, and name it here if it isn't in PATH.
PROVERIF ?= proverif

model:
	@command -v '$(PROVERIF)' >/dev/null || { echo "model: ProVerif 2.05 is needed: make model PROVERIF=/path/to/proverif (docs/model/README.md)"; exit 1; }
	@command -v spin >/dev/null && command -v gcc >/dev/null || { apt-get update -qq && apt-get install -y -qq spin gcc libc6-dev >/dev/null; }
	PROVERIF="$$(realpath "$$(command -v '$(PROVERIF)')")" $(GO) test -tags model -count=1 -timeout 6h ./internal/model
