#!/bin/sh
# Installs Husk from the bundle that it is in. It asks nothing, and needs no network.
#
# Whatever is to be put in place is first written beside it, whole and synced, as
# PLACE.husk-new. Only when all of it is there each is renamed, the program before the
# units that start it: a full disk or a missing right is met while nothing has changed
# yet, and each moment of the rest has whole files alone. What is being made stands in
# the journal (PREFIX/lib/husk/installing) before it is made, so that another run finds
# what one that was killed has left; what was made stands in PREFIX/lib/husk/installed,
# by which uninstall.sh goes.
set -eu
umask 022
me=install.sh
self=$0
[ ! -L "$self" ] || self=$(readlink -f -- "$self")
here=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd -P)
if [ ! -f "$here/common.sh" ] || [ ! -f "$here/SHA256SUMS" ]; then
  printf '%s\n' "install.sh: $here is not whole: common.sh or SHA256SUMS is missing" '  copy the bundle anew; nothing was changed' >&2
  exit 1
fi
# shellcheck source=dist/airgap/common.sh
. "$here/common.sh"

help() {
  cat <<'TEXT'
Install Husk from the bundle that this script is in. It asks nothing.

  sh install.sh --key KEY        verify the bundle by this public key, and install
  sh install.sh                  install; only checksums are looked at
  sh install.sh --dry-run        tell what it would write, and write nothing

Root installs into /usr/local, with a service where systemd is. Anybody else installs
into ~/.local, for themselves alone.

  --key KEY       the public key of who made the release, or a file with it
  --prefix DIR    another folder than /usr/local or ~/.local
  --no-service    the program, its manual and its completions alone
  --dry-run       write nothing
  --help          this text

What is there is replaced by what is in the bundle; the program before stays as
PREFIX/lib/husk/husk.before. Files of the service that were changed by hand stay, and
the bundle's are put beside them, as FILE.new. Undo: sh PREFIX/lib/husk/uninstall.sh
TEXT
}

key='' prefix='' service=yes dry=no
while [ $# -gt 0 ]; do
  case $1 in
  --key | --prefix)
    { [ $# -ge 2 ] && [ -n "$2" ]; } || misuse "$1 wants a value"
    if [ "$1" = --key ]; then key=$2; else prefix=$2; fi
    shift
    ;;
  --key=?*) key=${1#*=} ;;
  --prefix=?*) prefix=${1#*=} ;;
  --no-service) service=no ;;
  --dry-run) dry=yes ;;
  -h | --help)
    help
    exit 0
    ;;
  *) misuse "$1 is unknown" ;;
  esac
  shift
done

# Where things go.
root=no
[ "$(id -u)" != 0 ] || root=yes
if [ $root = no ] && [ -z "${HOME-}" ]; then
  fail 'HOME is not set, so there is no place to install to' 'name one: --prefix DIR'
fi
if [ -z "$prefix" ]; then
  if [ $root = yes ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
fi
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac
prefix=${prefix%/}
case $prefix in
*"$newline"* | *[\"\\%\$\']*) fail "the prefix $prefix has a character that a unit of systemd can't have in a path" 'choose another --prefix' ;;
esac
lib=$prefix/lib/husk
record=$lib/installed
journal=$lib/installing
program_to=$prefix/bin/husk
if [ $root = yes ]; then
  # The store is the service's, whatever HUSK_DATA is to root's own commands.
  units=/etc/systemd/system config=/etc/husk/husk.yaml data=/var/lib/husk
  bash=$prefix/share/bash-completion/completions zsh=$prefix/share/zsh/site-functions fish=$prefix/share/fish/vendor_completions.d
else
  units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user config=${XDG_CONFIG_HOME:-$HOME/.config}/husk/husk.yaml
  data=${HUSK_DATA:-$HOME/.local/share/husk}
  bash=$prefix/share/bash-completion/completions zsh=$prefix/share/zsh/site-functions fish=${XDG_CONFIG_HOME:-$HOME/.config}/fish/completions
fi

# --- Before anything is written ---------------------------------------------------

refuse_packaged() {
  [ $root = yes ] || return 0
  [ $service = yes ] || [ "$prefix" = /usr ] || return 0
  if command -v dpkg-query >/dev/null 2>&1 && dpkg-query -W -f '${Status}' husk 2>/dev/null | grep -q ' installed$'; then
    fail "husk is here already, by its .deb package ('dpkg -S /usr/bin/husk' tells so)" \
      "upgrade that: dpkg -i '$here'/packages/husk_*_\$(dpkg --print-architecture).deb" \
      'or remove it first, which keeps its data: dpkg -r husk' 'nothing was changed'
  fi
  if command -v rpm >/dev/null 2>&1 && rpm -q husk >/dev/null 2>&1; then
    fail "husk is here already, by its .rpm package ('rpm -qf /usr/bin/husk' tells so)" \
      "upgrade that: rpm -U '$here'/packages/husk-*.\$(uname -m).rpm" \
      'or remove it first, which keeps its data: rpm -e husk' 'nothing was changed'
  fi
}

# check_bundle holds every file against the list. It can't tell who made the list.
check_bundle() {
  check_sums "$here" SHA256SUMS || {
    printf '%s\n' "$found" >&2
    fail 'the bundle is not what its SHA256SUMS says; the lines above name the files' \
      'it was changed, or damaged on its way: copy it anew; nothing was changed'
  }
  names=$(cut -c 67- "$here/SHA256SUMS")
  more=$(cd "$here" && { printf '%s\n' "$names" "$names" SHA256SUMS SHA256SUMS SHA256SUMS.minisig SHA256SUMS.minisig && find . ! -type d | cut -c 3-; } | sort | uniq -u)
  [ -z "$more" ] || fail "the bundle has files that its SHA256SUMS does not know: $more" \
    'unpack it anew, into an empty folder; nothing was changed'
  links=$(cd "$here" && find . ! -type d ! -type f)
  [ -z "$links" ] || fail "the bundle has what is no file: $links" 'unpack it anew, into an empty folder; nothing was changed'
}

# refuse_foreign keeps another program, which happens to be called husk, where it is.
refuse_foreign() {
  [ -e "$program_to" ] || [ -L "$program_to" ] || return 0
  [ ! -d "$program_to" ] || fail "$program_to is a folder" 'choose another --prefix; nothing was changed'
  if [ -f "$record" ] && cut -c 67- "$record" | grep -xF -e "$program_to" >/dev/null; then return 0; fi
  case $("$program_to" version 2>/dev/null </dev/null || true) in
  'husk '*) return 0 ;;
  esac
  fail "$program_to is there, and is no husk that can be started" 'move it away, or choose another --prefix; nothing was changed'
}

# refuse_others_record keeps root from removing what somebody else has written down.
refuse_others_record() {
  [ $root = yes ] || return 0
  for file in "$lib" "$record" "$journal"; do
    if [ -e "$file" ] && [ -n "$(find "$file" -prune ! -user 0)" ]; then
      fail "$file is not yours: whoever has it could have this script remove any file" 'choose another --prefix; nothing was changed'
    fi
  done
}

# refuse_newer_store keeps an older program from the store of a newer one, which it
# could not read.
refuse_newer_store() {
  [ -e "$data/husk.db" ] || return 0
  # A store that can't be looked at, or is damaged, is no reason to keep an older
  # program there: only one that this program says it can't read is.
  said=$(HUSK_SERVER='' HUSK_CONFIG='' "$run" check --schema --json --data "$data" 2>/dev/null) || true
  case $said in
  *'"readable": false'*) ;;
  *) return 0 ;;
  esac
  fail "the store in $data was written by a newer husk than the one in this bundle ($version)" \
    "to go back to it, 'husk restore' the copy that was kept at the upgrade (husk.db.schema-N there), or a backup" \
    'of that time, first: docs/airgap.md, "The way back"; nothing was changed'
}

# --- Writing beside ---------------------------------------------------------------

made='' # folders that were made, the newest first
note() { [ "$noted" = no ] || printf '%s\n' "$1" >>"$journal" || unwritten "$journal"; }
noted=no

unwritten() {
  left=$(df -Pk -- "${1%/*}" 2>/dev/null | awk 'NR == 2 { print $4 }') || left=''
  case $left in
  '' | *[!0-9]* | ????*) ;;
  *) printf '%s\n' "no space left: $left kB, on the disk of ${1%/*}" >&2 ;; # the shell itself says only "I/O error"
  esac
  fail "$1 can't be written; the line above says why" 'what was begun is taken away again, and what was there is as it was'
}

make_folder() {
  [ ! -d "$1" ] || return 0
  make_folder "$(dirname -- "$1")"
  mkdir -- "$1" || unwritten "$1"
  made=$1$newline$made
  note "folder $1"
}

# begin takes the journal, after what an earlier run left in it was taken away.
begin() {
  make_folder "$lib"
  [ -w "$lib" ] || fail "$lib is not yours to write to" 'choose another --prefix, or become root; nothing was changed'
  if [ -f "$journal" ]; then
    other=$(sed -n 's/^process //p' "$journal")
    if [ -n "$other" ] && kill -0 "$other" 2>/dev/null && tr '\0' ' ' <"/proc/$other/cmdline" 2>/dev/null | grep -q "$me"; then
      noted=no made=''
      fail "another install.sh (process $other) is at work" 'wait until it has ended'
    fi
    clear_journal
  fi
  (set -C && : >"$journal") || unwritten "$journal"
  noted=yes
  note "process $$"
  printf '%s' "$made" | while read -r folder; do printf 'folder %s\n' "$folder"; done >>"$journal" || unwritten "$journal"
}

# clear_journal takes away what an earlier run had begun. Folders of it count as made now.
clear_journal() {
  while read -r kind path; do
    case $kind in
    beside) rm -f -- "$path.husk-new" ;;
    folder) [ ! -d "$path" ] || made=$path$newline$made ;;
    esac
  done <"$journal"
  rm -f -- "$journal" "$record.husk-new" "$record.final"
}

# undo is what an end before the renames does: nothing of this run stays.
undo() {
  code=$?
  trap - EXIT
  if [ $noted = yes ]; then
    clear_journal
    noted=no
  fi
  printf '%s' "$made" | while read -r folder; do rmdir -- "$folder" 2>/dev/null || true; done
  [ -z "$scratch" ] || rm -rf -- "$scratch"
  exit "$code"
}

# recorded tells whether a file is as an earlier run has put it there.
recorded() { [ -f "$record" ] && grep -qxF "$2  $1" "$record"; }

# entry prints what the record has of a place, as "SUM  PLACE".
entry() {
  [ ! -f "$record" ] || while read -r sum at; do [ "$at" != "$1" ] || printf '%s  %s\n' "$sum" "$at"; done <"$record"
}

list=''   # "SUM  PLACE" of all that is put there
copies='' # "SUM  FILE" of what was copied out of the bundle
kept=''
foreign='' # a unit of another hand, which this script never put there

# put KIND MODE FROM PLACE writes a file beside its place. Of kind "ours" it will
# replace what is there; "theirs" is left alone once it was changed by hand; "once"
# is written only where there is none. FROM is - for what is handed in.
put() {
  kind=$1 mode=$2 from=$3 place=$4
  [ "$kind" != once ] || [ ! -e "$place" ] || return 0
  [ ! -d "$place" ] || fail "$place is a folder, where a file is to be" 'move it away; nothing was changed'
  if [ $dry = yes ]; then
    say "would write $place"
    return 0
  fi
  [ -d "${place%/*}" ] || make_folder "${place%/*}"
  note "beside $place"
  # Not written to, but made: it may be a link.
  if [ -e "$place.husk-new" ] || [ -L "$place.husk-new" ]; then rm -f -- "$place.husk-new"; fi
  if [ "$from" = - ]; then cat >"$place.husk-new"; else cat <"$from" >"$place.husk-new"; fi || unwritten "$place.husk-new"
  [ "$mode" = 644 ] || chmod "$mode" "$place.husk-new" || unwritten "$place.husk-new"
  case $from in
  "$here"/*) listed "${from#"$here/"}" || fail "${from#"$here/"} is not in SHA256SUMS: it is no part of the bundle" 'unpack the bundle anew, into an empty folder' ;;
  *) wanted=$(digest "$place.husk-new") ;;
  esac
  if [ "$kind" = theirs ] && [ -e "$place" ]; then
    is=$(digest "$place")
    if [ "$is" != "$wanted" ] && ! recorded "$place" "$is"; then
      note "beside $place.new"
      mv -f -- "$place.husk-new" "$place.new.husk-new" || unwritten "$place.new.husk-new"
      kept=$kept$place$newline
      # What was put there stays in the record, so that uninstall.sh knows of it.
      was=$(entry "$place")
      list=$list$was${was:+$newline}
      case $was/$place in /"$units"/*) foreign=yes ;; esac
      place=$place.new
    fi
  fi
  [ "$kind" = ours ] && [ "$mode" = 644 ] || sync "$place.husk-new" || unwritten "$place.husk-new"
  note "whole $place"
  copies=$copies"$wanted  $place.husk-new$newline"
  [ "$kind" = once ] || list=$list"$wanted  $place$newline"
}

# check_copies reads what was written: a stick, or a disk, may have given other bytes.
check_copies() {
  printf '%s' "$copies" >"$scratch/copies" || unwritten "$scratch/copies"
  check_sums / "$scratch/copies" || {
    printf '%s\n' "$found" >&2
    fail 'what was copied is not what SHA256SUMS says; the lines above name the files' \
      'the stick, or this disk, does not give back what is on it: try another; what was there is as it was'
  }
}

put_all() {
  for file in "$here"/man/*.1; do put ours 644 "$file" "$prefix/share/man/man1/${file##*/}"; done
  put ours 644 "$here/completions/husk.bash" "$bash/husk"
  put ours 644 "$here/completions/_husk" "$zsh/_husk"
  put ours 644 "$here/completions/husk.fish" "$fish/husk.fish"
  (cd "$here" && find docs proxy -type f) | sort >"$scratch/docs" || unwritten "$scratch/docs"
  while read -r file; do put ours 644 "$here/$file" "$prefix/share/doc/husk/${file#docs/}"; done <"$scratch/docs"
  for file in README.txt GO_VERSION licenses/LICENSE licenses/copyright; do put ours 644 "$here/$file" "$prefix/share/doc/husk/${file##*/}"; done
  put ours 755 "$here/uninstall.sh" "$lib/uninstall.sh"
  if [ -f "$program_to" ]; then
    if [ "$(digest "$program_to")" != "$(digest "$run")" ]; then
      put ours 755 "$program_to" "$lib/husk.before"
    elif [ -f "$lib/husk.before" ]; then
      list=$list"$(digest "$lib/husk.before")  $lib/husk.before$newline"
    fi
  fi
  put ours 755 "$run" "$program_to"
  [ $service = no ] || put_service
}

# unit prints a unit as it starts the program that is installed.
unit() { sed "s|^ExecStart=/usr/bin/husk|ExecStart=\"$(printf '%s' "$program_to" | sed 's/[&|]/\\&/g')\"|" "$here/systemd/$1"; }

put_service() {
  put once 644 "$here/systemd/husk.yaml" "$config"
  systemd || return 0
  if [ $root = yes ]; then
    put theirs 644 "$here/systemd/husk.sysusers" /etc/sysusers.d/husk.conf
    put theirs 644 "$here/systemd/husk.tmpfiles" /etc/tmpfiles.d/husk.conf
    put theirs 644 "$here/systemd/husk.socket" "$units/husk.socket"
    put theirs 644 - "$units/husk.service" <<TEXT
$(unit husk.service)
TEXT
  else
    put theirs 644 - "$units/husk.service" <<TEXT
$(unit husk.user.service)
TEXT
  fi
}

systemd() { command -v systemctl >/dev/null 2>&1 && [ -d /etc/systemd ]; }

# --- Putting in place -------------------------------------------------------------

# write_records writes what will have been made, and what may be there on the way.
write_records() {
  head="# husk $version, by install.sh; uninstall.sh in this folder goes by it
prefix $prefix"
  folders=$({ printf '%s' "$made" && { [ ! -f "$record" ] || sed -n 's/^folder //p' "$record"; }; } | sort -u | sed 's/^/folder /')
  before=''
  [ ! -f "$record" ] || before=$(grep -E '^[0-9a-f]{64}  ' "$record" || true)
  enabled=''
  if [ -f "$record" ] && grep -qx 'service enabled' "$record"; then enabled='service enabled'; fi
  printf '%s\n' "$head" "$folders" "$enabled" "$list" "$before" | grep . >"$record.husk-new" || unwritten "$record.husk-new"
  [ $service = no ] || ! systemd || enabled='service enabled'
  printf '%s\n' "$head" "$folders" "$enabled" "$list" | grep . >"$record.final" || unwritten "$record.final"
  sync "$record.husk-new" || unwritten "$record.husk-new"
  sync "$record.final" || unwritten "$record.final"
  # From here on nothing is written any more.
  sed -n 's/^whole //p' "$journal" >"$scratch/whole" || unwritten "$scratch/whole"
  printf '%s\n' "$before" | sed '/^$/d' >"$scratch/before" || unwritten "$scratch/before"
}

commit() {
  trap '' HUP INT TERM
  mv -f -- "$record.husk-new" "$record" || unwritten "$record"
  while read -r place; do
    mv -f -- "$place.husk-new" "$place" || fail "$place can't be replaced; the line above says why" \
      'what was there of it is whole, and what is there works; mend that, and run this again'
  done <"$scratch/whole"
  sync "$lib" "$prefix/bin" 2>/dev/null || true # a file system may not sync folders
  # What an older bundle had, and this one has not.
  while read -r sum place; do
    case $list in *"  $place$newline"*) continue ;; esac
    if [ -f "$place" ] && [ "$(digest "$place")" = "$sum" ]; then rm -f -- "$place"; fi
  done <"$scratch/before"
}

make_user() {
  if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers "$here/systemd/husk.sysusers" || true # whether it did is looked at below
  fi
  id husk >/dev/null 2>&1 || {
    if command -v useradd >/dev/null 2>&1; then
      useradd --system --user-group --no-create-home --home-dir /var/lib/husk --shell /usr/sbin/nologin husk
    else
      addgroup -S husk && adduser -S -D -H -h /var/lib/husk -s /sbin/nologin -G husk husk # busybox
    fi
  } || fail "the user husk, whose the service is, can't be made; the line above says why" 'make it by hand, or install with --no-service; nothing else was changed'
  # It makes the folder for backups, too. Without it the data folder is all that is needed.
  if command -v systemd-tmpfiles >/dev/null 2>&1; then
    systemd-tmpfiles --create "$here/systemd/husk.tmpfiles" || true # whether it did is looked at below
  fi
  if [ ! -d /var/lib/husk ]; then
    { mkdir -m 700 /var/lib/husk && chown husk:husk /var/lib/husk; } || unwritten /var/lib/husk
  fi
}

# shellcheck disable=SC2086 # units and options are words
# start has the service run the program that is now there. What fails here leaves all
# that is installed in its place.
start() {
  if [ $root = yes ]; then ctl=systemctl manager=/run/systemd/system; else ctl='systemctl --user' manager=${XDG_RUNTIME_DIR:-/nonexistent}/systemd; fi
  all=husk.service
  [ $root = no ] || all='husk.socket husk.service'
  if [ -n "$foreign" ]; then # they know what it starts
    started=foreign
    return 0
  fi
  if [ ! -d "$manager" ]; then
    [ $root = no ] || $ctl enable $all >/dev/null 2>&1 || true
    started=no
    return 0
  fi
  $ctl daemon-reload || started=failed
  if [ -n "$upgrade" ]; then
    $ctl try-restart husk.service || started=failed
  else
    $ctl enable --now $all || started=failed
  fi
}

tell() {
  say "husk $version is installed: $program_to"
  [ ! -f "$lib/husk.before" ] || say "The program before it is kept: $lib/husk.before"
  if [ -n "$kept" ]; then
    say 'These were changed by hand, and stay; what the bundle has is beside them, as FILE.new:'
    printf '%s' "$kept" | sed 's/^/  /'
  fi
  [ $started != foreign ] || say "A unit of them is not of this script, so nothing was started or restarted: $ctl restart husk.service"
  [ -n "$key" ] || say 'The signature was NOT verified, as no --key was given: only checksums were.'
  case :$PATH: in
  *":$prefix/bin:"*) husk=husk ;;
  *)
    husk=$program_to
    say "Your shell does not look into $prefix/bin; add it: export PATH=\"$prefix/bin:\$PATH\""
    case $husk in *' '*) husk="\"$husk\"" ;; esac
    ;;
  esac
  if [ -z "$upgrade" ]; then
    say "Next: '$husk passwd' sets the password of the administrator."
    how_to_start
  fi
  say "Undo: sh \"$lib/uninstall.sh\""
}

how_to_start() {
  case $service/$started/$root in
  no/*) say "'$husk serve' serves on http://127.0.0.1:9000" ;;
  yes/yes/yes) say 'The service runs, at http://127.0.0.1:9000; settings are in /etc/husk/husk.yaml.' ;;
  yes/yes/no) say 'The service runs while you are signed in, at http://127.0.0.1:9000; always: loginctl enable-linger' ;;
  yes/no/yes)
    if systemd; then
      say 'systemd does not run here now: the service starts with the machine, at http://127.0.0.1:9000.'
    else
      say 'There is no systemd here. Have your service manager run, as the user husk:'
      say "  HUSK_DATA=/var/lib/husk HUSK_CONFIG=$config \"$program_to\" serve"
    fi
    ;;
  yes/no/no) say "'$husk serve' serves on http://127.0.0.1:9000; as a service: systemctl --user enable --now husk.service" ;;
  esac
}

# --- The whole of it --------------------------------------------------------------

scratch=''
trap undo EXIT
trap 'exit 130' HUP INT TERM

refuse_packaged
find_program || no_program
as_listed "$program"
if [ -n "$key" ]; then
  sh "$here/verify" "$key" || exit $?
else
  check_bundle
fi
runnable || not_runnable
version=$("$run" version | cut -d ' ' -f 2)
if [ $root = yes ] && [ $service = yes ]; then
  case $prefix/ in
  /home/* | /root/* | /run/user/*) fail "a service can't see a program in $prefix: its unit hides that from it" 'choose another --prefix, or --no-service; nothing was changed' ;;
  esac
fi
refuse_others_record
refuse_foreign
[ $service = no ] || refuse_newer_store

if [ $dry = yes ]; then
  put_all
  say 'nothing was written'
  exit 0
fi
begin
upgrade=''
if [ -f "$record" ] && { [ $service = no ] || ! systemd || grep -qx 'service enabled' "$record"; }; then upgrade=yes; fi
put_all
check_copies
[ $root = no ] || [ $service = no ] || make_user
write_records
commit
started=no
if [ $service = yes ] && systemd; then
  started=yes
  start
fi
mv -f -- "$record.final" "$record"
rm -f -- "$journal"
noted=no made=''
tell
if [ $started = failed ]; then
  fail 'it is installed, and the service does not start; the lines above say why' \
    "see: $ctl status husk.service; the program before, if there was one, is $lib/husk.before"
fi
