#!/usr/bin/env bash
# The programs, each with the command that docs/install.md gives to who makes one.
. "$(dirname "$0")/lib.sh"

for target in $TARGETS; do
  step "program for $target"
  (cd "$SOURCE" && GOOS=${target%/*} GOARCH=${target#*/} GOARM=7 \
    go build -mod=vendor -trimpath -buildvcs=false -ldflags '-s -w' -o "$(binary "$target")" .)
done
