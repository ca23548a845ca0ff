#!/usr/bin/env bash
# A bill of materials for each program, of the modules that it is made of.
. "$(dirname "$0")/lib.sh"

step 'bills of materials'
# As it was before vendor/ came in, which has no sums; and a repository, since the
# tag of its commit is where cyclonedx-gomod finds the version.
plain=$WORK/plain
mkdir "$plain"
git -c tar.umask=0022 archive --format=tar "$tree" | tar --extract --directory "$plain"
git init -q -b main "$plain"
GIT_AUTHOR_DATE=@$SOURCE_DATE_EPOCH GIT_COMMITTER_DATE=@$SOURCE_DATE_EPOCH \
  git -C "$plain" -c user.name=husk -c user.email=husk@localhost -c commit.gpgsign=false commit -q --allow-empty --no-verify -m "$VERSION"
git -C "$plain" -c tag.gpgsign=false tag "$VERSION"

for target in $TARGETS; do
  program=$(binary "$target")
  "$TOOLS/sbom" "$plain" "$program" >"${program%.exe}.cdx.json"
done
