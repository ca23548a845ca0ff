# What one runs while working on Husk; docs/contributing.md tells when.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help check test ci generate screenshots release

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## before each commit: form, vet, staticcheck, build, quick tests; under 2 minutes
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	CGO_ENABLED=0 $(GO) build -o /dev/null .
	$(GO) test -short ./...

test: ## all tests that a laptop can run; under 3 minutes
	$(GO) test ./...

ci: ## everything, as it has to hold on a fresh machine; under 45 minutes
	CI=true bash .ci/run

generate: ## what is made of the source: openapi.json, docs/commands.md, tables of docs/configuration.md; of the pages the manual
	$(GO) generate ./web
	$(GO) test ./cmd -run Page -update
	$(GO) generate ./web/manual

screenshots: ## the pictures in docs/screenshots, of a house where people live
	$(GO) test ./web -run TestScreenshots -update-screenshots -v

release: ## the next release, in dist/out; KEY=FILE signs it with minisign
	bash dist/release $(if $(KEY),--key $(KEY)) v$$(sed -n '1{s/-dev$$//;p}' cmd/release.txt) dist/out
