#!/usr/bin/env bash
# What says of the rest what it is: notes, the check, sums, and signatures where
# there is a key.
. "$(dirname "$0")/lib.sh"

step 'notes, sums, signatures'
cp "$here/dist/check.sh" "$OUT/check"
chmod 755 "$OUT/check"

# The section of this number, or what comes next.
section() { awk -v name="$1" '/^## \[/ {inside = index($0, "## [" name "]") == 1; next} inside' "$SOURCE/CHANGELOG.md"; }
notes=$(section "$NUMBER")
[ -n "${notes//[[:space:]]/}" ] || notes=$(section Unreleased)
[ -n "${notes//[[:space:]]/}" ] || { echo "CHANGELOG.md has no section of $NUMBER, and nothing under Unreleased" >&2; exit 1; }
{
  printf '# Husk %s\n\n%s, commit %s.\n' "$NUMBER" "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" "$commit"
  printf '\n%s\n' "$(sed '/./,$!d' <<<"$notes")"
} >"$OUT/RELEASE_NOTES.md"

cd "$OUT"
find . -type f ! -name SHA256SUMS ! -name '*.minisig' -printf '%P\0' | sort -z | xargs -0 sha256sum -- >SHA256SUMS

if [ -z "$KEY" ]; then
  echo 'Nothing is signed: no --key was given.' >&2
  exit 0
fi
# The same key gives the same bytes: the comment that is signed, too, has the date of
# the commit. Both at once, for one question for the password.
signed=(SHA256SUMS)
[ ! -e "husk-$VERSION-airgap.tar" ] || signed+=("husk-$VERSION-airgap.tar")
minisign -S -s "$KEY" -c "signature of husk $VERSION" -t "husk $VERSION $(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" -m "${signed[@]}" >&2
