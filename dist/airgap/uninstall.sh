#!/bin/sh
# Takes away what install.sh has put there, by the list that it kept, and asks nothing.
# What was changed since by hand stays, and so do the data, the settings and backups.
# The list goes last: where this is cut short, it can be run again.
set -eu
umask 022
LC_ALL=C
export LC_ALL
me=uninstall.sh
self=$0
[ ! -L "$self" ] || self=$(readlink -f -- "$self")
here=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P)

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$me" "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
misuse() {
  printf '%s\n' "$me: $1" "  'sh $me --help' tells how it is used" >&2
  exit 2
}

help() {
  cat <<'TEXT'
Take away what install.sh has put there. It asks nothing.

  sh uninstall.sh                the program, its manual, its service
  sh uninstall.sh --purge        and the store and the settings, too; backups stay

  --prefix DIR    where it was installed to, if not to /usr/local or ~/.local
  --dry-run       tell what it would remove, and remove nothing
  --help          this text

What was changed by hand since stays, and is named.
TEXT
}

prefix='' purge=no dry=no
while [ $# -gt 0 ]; do
  case $1 in
  --prefix)
    { [ $# -ge 2 ] && [ -n "$2" ]; } || misuse "$1 wants a value"
    prefix=$2
    shift
    ;;
  --prefix=?*) prefix=${1#*=} ;;
  --purge) purge=yes ;;
  --dry-run) dry=yes ;;
  -h | --help)
    help
    exit 0
    ;;
  *) misuse "$1 is unknown" ;;
  esac
  shift
done

root=no
[ "$(id -u)" != 0 ] || root=yes
if [ -z "$prefix" ]; then
  case $here in
  */lib/husk) prefix=${here%/lib/husk} ;; # the copy that install.sh keeps
  *) if [ $root = yes ]; then prefix=/usr/local; else prefix=${HOME:?}/.local; fi ;;
  esac
fi
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac
prefix=${prefix%/}
lib=$prefix/lib/husk
record=$lib/installed
journal=$lib/installing
if [ $root = yes ]; then
  # The store is the service's, whatever HUSK_DATA is to root's own commands.
  config=/etc/husk/husk.yaml data=/var/lib/husk ctl=systemctl manager=/run/systemd/system
else
  config=${XDG_CONFIG_HOME:-$HOME/.config}/husk/husk.yaml data=${HUSK_DATA:-$HOME/.local/share/husk}
  ctl='systemctl --user' manager=${XDG_RUNTIME_DIR:-/nonexistent}/systemd
fi

digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c 1-64; else shasum -a 256 <"$1" | cut -c 1-64; fi
}

# remove takes a file away, or tells what it would.
remove() {
  if [ $dry = yes ]; then
    say "would remove $1"
  else
    rm -f -- "$1" || fail "$1 can't be removed; the line above says why" 'mend that, and run this again'
  fi
}

if [ ! -f "$record" ] && [ ! -f "$journal" ]; then
  [ $purge = no ] || fail "nothing was installed by install.sh below $prefix, so nothing is purged either" 'name where it was: --prefix DIR'
  fail "nothing was installed by install.sh below $prefix" "name where it was: --prefix DIR; what came by a package goes by 'dpkg -r husk' or 'rpm -e husk'"
fi
[ $dry = yes ] || [ -w "$lib" ] || fail "$lib is not yours to write to" 'become who installed it; nothing was changed'
for file in "$lib" "$record" "$journal"; do
  if [ $root = yes ] && [ -e "$file" ] && [ -n "$(find "$file" -prune ! -user 0)" ]; then
    fail "$file is not yours: whoever has it could have this script remove any file" 'become who installed it; nothing was changed'
  fi
done

# What a run of install.sh that was killed has left.
if [ -f "$journal" ]; then
  sed -n 's/^beside //p' "$journal" | while read -r place; do
    [ ! -f "$place.husk-new" ] || remove "$place.husk-new"
  done
fi
[ -f "$record" ] || [ $dry = yes ] || : >"$record"

# stop ends the service, where its unit is the one that was put there.
stop() {
  grep -q '^[0-9a-f]\{64\}  .*/husk\.service$' "$record" 2>/dev/null || return 0
  command -v systemctl >/dev/null 2>&1 || return 0
  all=husk.service
  [ $root = no ] || all='husk.socket husk.service'
  [ $dry = no ] || {
    say "would stop and disable $all"
    return 0
  }
  if [ -d "$manager" ]; then
    # shellcheck disable=SC2086 # two units, two words
    $ctl stop $all || fail "the service can't be stopped; the line above says why" 'nothing was removed'
  fi
  # shellcheck disable=SC2086
  $ctl disable $all >/dev/null 2>&1 || true # without a manager there may be nothing to disable
}
stop

# A place may be there twice, with the sum of before and after a run that was killed.
kept=''
newline='
'
places=$(sed -n 's/^[0-9a-f]\{64\}  //p' "$record" 2>/dev/null | sort -u)
while read -r place; do
  if [ -z "$place" ] || { [ ! -f "$place" ] && [ ! -L "$place" ]; }; then continue; fi
  if [ -f "$place" ] && grep -qxF -e "$(digest "$place")  $place" "$record"; then
    remove "$place"
  else
    kept=$kept$place$newline
  fi
done <<TEXT
$places
TEXT

if [ -d "$manager" ] && command -v systemctl >/dev/null 2>&1 && [ $dry = no ]; then $ctl daemon-reload || true; fi

# purge takes what husk itself has made, by name: what else somebody put into these
# folders, such as a backup, is theirs.
if [ $purge = yes ]; then
  for file in "$config" "$data"/husk.db "$data"/husk.db.schema-* "$data"/husk.db.before-* "$data"/husk.db.damaged* "$data"/husk.sock "$data"/husk.lock "$data"/.husk-*; do
    if [ -f "$file" ] || [ -S "$file" ]; then remove "$file"; fi
  done
  [ $dry = yes ] || [ $root = no ] || rmdir -- /var/backups/husk 2>/dev/null || true # an empty one
  [ $dry = yes ] || for folder in "${config%/*}" "$data"; do
    rmdir -- "$folder" 2>/dev/null || { [ ! -d "$folder" ] || kept=$kept$folder$newline; }
  done
fi
if [ $dry = yes ]; then
  say 'nothing was removed'
  exit 0
fi

folders=$({ cat "$record" && { [ ! -f "$journal" ] || cat "$journal"; }; } | sed -n 's/^folder //p' | sort -ru)
rm -f -- "$journal" "$record.husk-new" "$record.final" "$record" || fail "$record can't be removed; the line above says why" 'mend that, and run this again'
rmdir -- "$lib" 2>/dev/null || true
printf '%s\n' "$folders" | while read -r folder; do
  [ -z "$folder" ] || rmdir -- "$folder" 2>/dev/null || true # others may have put something there
done

say "husk is removed from $prefix"
if [ -n "$kept" ]; then
  say 'These stay, as they were changed by hand or have what is not of install.sh:'
  printf '%s' "$kept" | sed 's/^/  /'
fi
for place in "$data" "$config" /var/backups/husk; do
  [ ! -e "$place" ] || say "$place stays: it is yours."
done
if [ $root = yes ] && id husk >/dev/null 2>&1; then say 'The user husk stays, as files may belong to it: userdel husk'; fi
