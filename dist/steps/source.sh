#!/usr/bin/env bash
# The staged source, with all that it is built from: every program of the release
# is made of it, and so can anybody make it, without a network.
. "$(dirname "$0")/lib.sh"
need tar tar
need gzip gzip
touch "$WORK/began"

step "source of $commit"
mkdir "$SOURCE"
git -c tar.umask=0022 archive --format=tar "$tree" | tar --extract --directory "$SOURCE"
cat >"$SOURCE/cmd/release.txt" <<END
$NUMBER
commit $commit
date $(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
END
(cd "$SOURCE" && go mod vendor)
pack "$WORK" "husk-$VERSION" | gzip -9n >"$OUT/husk-$VERSION-source.tar.gz"

step 'tools'
mkdir "$TOOLS"
(cd "$here/dist/tools" && go build -trimpath -buildvcs=false -o "$TOOLS/" tool ./image ./sbom)
