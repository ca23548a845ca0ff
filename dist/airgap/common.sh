# What verify and install.sh have in common: which program of the bundle is for
# this machine, and what the list of checksums says. It is sourced by them, where
# "here" is the folder of the bundle and "me" the name of the script.
#
# Plain POSIX sh, with what coreutils or busybox have. Each name of a file may
# have spaces in it.

LC_ALL=C # sha256sum speaks the language of the machine else
export LC_ALL

# What is set for the husk that is here is not for the one of the bundle, which would
# not start over a setting that is wrong; where the store is, is for both.
for name in $(env | sed -n 's/^\(HUSK_[0-9A-Z_]*\)=.*/\1/p'); do
  [ "$name" = HUSK_DATA ] || unset "$name"
done

say() { printf '%s\n' "$*"; }

# fail says what happened and, in lines below it, what to do.
fail() {
  printf '%s: %s\n' "$me" "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

misuse() {
  printf '%s: %s\n' "$me" "$1" >&2
  printf "  'sh %s --help' tells how it is used\n" "$me" >&2
  exit 2
}

# digest prints the SHA-256 of a file.
digest() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1" | cut -c 1-64
  else
    shasum -a 256 <"$1" | cut -c 1-64 # macOS
  fi
}

# The list is read once: a shell reads a file byte by byte.
newline='
'
sums=$newline$(cat "$here/SHA256SUMS")$newline

# listed sets "wanted" to the checksum that the list has for a file of the bundle.
listed() {
  case $sums in
  *"  $1$newline"*) ;;
  *) return 1 ;;
  esac
  wanted=${sums%%"  $1$newline"*}
  wanted=${wanted##*"$newline"}
}

# as_listed ends the script where a file of the bundle is not what the list says.
as_listed() {
  [ -f "$here/$1" ] || fail "$1 is missing in the bundle" \
    'copy the bundle anew; nothing was changed'
  listed "$1" || fail "$1 is not in SHA256SUMS: it is no part of the bundle" \
    'unpack the bundle anew, into an empty folder; nothing was changed'
  [ "$(digest "$here/$1")" = "$wanted" ] || fail "$1 is not what SHA256SUMS says: it was changed, or damaged on its way" \
    'copy the bundle anew; nothing was changed'
}

# check_sums holds the files of a list in sha256sum's form, in a folder, against it, and
# sets "found" to what is wrong.
check_sums() {
  if command -v sha256sum >/dev/null 2>&1; then
    found=$(cd "$1" && sha256sum -c "$2" 2>&1) && return 0
  else
    found=$(cd "$1" && shasum -a 256 -c "$2" 2>&1) && return 0
  fi
  found=$(printf '%s\n' "$found" | grep -v ': OK$')
  return 1
}

# find_program sets "program" to the one for this machine, by its path in the
# bundle.
find_program() {
  case $(uname -s)/$(uname -m) in
  Linux/x86_64 | Linux/amd64) target=linux-amd64 ;;
  Linux/aarch64 | Linux/arm64) target=linux-arm64 ;;
  Linux/armv7* | Linux/armv8l) target=linux-armv7 ;;
  Linux/i[3-6]86) target=linux-386 ;;
  Darwin/x86_64) target=darwin-amd64 ;;
  Darwin/arm64) target=darwin-arm64 ;;
  *) return 1 ;;
  esac
  for file in "$here/bin"/husk-*-"$target.gz"; do
    if [ -f "$file" ]; then
      program=bin/${file##*/}
      return 0
    fi
  done
  return 1
}

# runnable sets "run" to the path of the program, unpacked, where it can be started,
# and "scratch" to the folder of that, which is for the script to remove.
runnable() {
  for folder in "${TMPDIR:-/tmp}" /var/tmp "${HOME:-/}" /dev/shm; do
    scratch=$(umask 077 && mktemp -d "$folder/husk-bundle.XXXXXX" 2>/dev/null) || continue
    run=$scratch/husk
    if gzip -dc <"$here/$program" >"$run" 2>/dev/null && chmod 700 "$run" && starts; then return 0; fi
    rm -rf "$scratch"
    scratch=
  done
  return 1
}

starts() { "$run" version >/dev/null 2>&1; }

no_program() {
  fail "the bundle has no program for this machine ($(uname -s) $(uname -m))" \
    'with the minisign of this machine it can be verified as well:' \
    '  minisign -V -p KEY_FILE -m SHA256SUMS && sha256sum -c SHA256SUMS' \
    'another machine can verify it, too: see airgap.md in docs/text/docs'
}

not_runnable() {
  fail "$program can't be unpacked and run in ${TMPDIR:-/tmp}, /var/tmp, ${HOME:-/} or /dev/shm" \
    "name a folder that is not mounted 'noexec', and has 50 MB free: TMPDIR=FOLDER sh $me ..." \
    'or, to verify alone: minisign -V -p KEY_FILE -m SHA256SUMS && sha256sum -c SHA256SUMS'
}
