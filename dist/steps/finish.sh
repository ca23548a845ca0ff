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
bundle=$OUT/husk-$VERSION-airgap.tar
[ ! -e "$bundle" ] || [ -e "$bundle.minisig" ] || sign "$bundle"
sign "$OUT/SHA256SUMS"
