# What the steps of dist/release share; sourced by each of them. Their world is in
# the environment: VERSION (v0.2.0) and NUMBER (0.2.0), OUT, WORK, SOURCE (the
# staged source), TOOLS, TARGETS (OS/ARCH …), KEY (or empty), SOURCE_DATE_EPOCH.
# shellcheck shell=bash
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# step says what goes on, and since when.
step() { printf '%4ds  %s\n' "$(($(date +%s) - $(stat -c %Y "$WORK/began")))" "$*" >&2; }

# need says that a step needs a program, which a package of Debian has. dist/release
# reads these lines before it begins.
need() { command -v "$1" >/dev/null || { echo "dist/release: $1 is missing: apt-get install $2" >&2; exit 1; }; }

# pack writes a tar of what is in a folder, which tells nothing of who made it.
pack() {
  tar --create --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --mode='u=rwX,go=rX' --directory "$1" "${@:2}"
}

# arch names an architecture as releases do: Go's arm is built for ARMv7.
arch() { case $1 in arm) echo armv7 ;; *) echo "$1" ;; esac; }

# binary is the path of the program for OS/ARCH.
binary() {
  local os=${1%/*} cpu=${1#*/}
  printf '%s/husk-%s-%s-%s%s\n' "$OUT" "$VERSION" "$os" "$(arch "$cpu")" "$([ "$os" != windows ] || echo .exe)"
}

# native is the program that runs here; it makes man pages and completions.
native() { binary "$(go env GOHOSTOS)/$(go env GOHOSTARCH)"; }

# sign signs a file as what it is and of when: what is signed, too, has the date of the
# commit, so that the same key gives the same bytes. The password stands at 3.
sign() {
  [ -n "${password+read}" ] || IFS= read -r password <&3
  minisign -S -s "$KEY" -c 'husk, verify with the public key of its maintainers' \
    -t "husk $VERSION $(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%d) $(basename "$1")" -m "$1" -x "$1.minisig" <<<"$password" >/dev/null
  chmod 644 "$1.minisig"
}
