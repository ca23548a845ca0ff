#!/bin/sh
# Looks at a release from outside: is each file what it says?
#
#   sh check [--rebuild] [PUBLIC_KEY]
#
# It lies beside what it looks at. PUBLIC_KEY is the key of minisign that the release
# is signed with, or a file with it; --rebuild makes the programs once more, of the
# source in the release, with the Go that is here. One line for each thing, the
# verdict at the end; it ends with 0 where all holds that could be looked at. Under
# CI=true it is a failure, too, what could not.
#
# A check that came with what it checks proves nothing to who does not trust where
# both came from: there, check the signature of SHA256SUMS first, with a minisign and
# a public key that came another way.
set -u
LC_ALL=C TZ=UTC
export LC_ALL TZ

key='' rebuild='' beside='' # beside: the file of the key, where it lies here, too
here=$(cd "$(dirname "$0")" && pwd -P) || exit 2
for argument in "$@"; do
  case $argument in
    --rebuild) rebuild=yes ;;
    -*) echo "usage: sh check [--rebuild] [PUBLIC_KEY]" >&2; exit 2 ;;
    *)
      if [ -f "$argument" ]; then
        key=$(grep . "$argument" | tail -n 1 | tr -d '\r')
        [ "$(cd "$(dirname "$argument")" && pwd -P)" != "$here" ] || beside=${argument##*/}
      else key=$argument; fi
      # Without one nothing would be held to a signature.
      [ -n "$key" ] || { echo "check: there is no public key in '$argument'" >&2; exit 2; } ;;
  esac
done
cd "$here" || exit 2
work=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

held=0 wrong=0
: >"$work/unseen"
line() { printf '%s  %s\n' "$1" "$(printf %s "$2" | tr '\n\r\t' '   ')"; }
ok() { held=$((held + 1)); line 'ok   ' "$*"; }
bad() { wrong=$((wrong + 1)); line WRONG "$*"; }
unseen() { printf '%s\n' "$*" >>"$work/unseen"; }
have() { command -v "$1" >/dev/null 2>&1; }

# same says whether $2, which $1 has, is $3.
same() { if [ "$2" = "$3" ]; then ok "$1 $2"; else bad "$1 ${2:-nothing}, where it should be $3"; fi; }

# sum is the SHA-256 of what it reads.
if have sha256sum; then sum() { sha256sum | cut -c 1-64; }
elif have shasum; then sum() { shasum -a 256 | cut -c 1-64; }
else echo 'check: neither sha256sum nor shasum is here: apt-get install coreutils' >&2; exit 2; fi

# listed is the sum that SHA256SUMS has for a file.
listed() { awk -v name="$1" 'substr($0, 67) == name {print substr($0, 1, 64)}' SHA256SUMS; }

# is says whether what it reads is the file that is listed as $1; $2 tells where it
# was found.
is() { if [ "$(sum)" = "$(listed "$1")" ]; then ok "$2 is $1"; else bad "$2 is not $1"; fi; }

# number is the number of $3 bytes at $2 of a file, the least of them first.
number() {
  od -An -v -tu1 -j "$2" -N "$3" "$1" | awk 'BEGIN {f = 1} {for (i = 1; i <= NF; i++) {all += $i * f; f *= 256}} END {printf "%.0f", all}'
}

# The list: whether it is one, and has all that is here and nothing else.
files() {
  if grep -qv '^[0-9a-f]\{64\}  [0-9A-Za-z][0-9A-Za-z._~-]*$' SHA256SUMS; then
    bad "SHA256SUMS has lines that are no sum with a name: $(grep -v '^[0-9a-f]\{64\}  [0-9A-Za-z][0-9A-Za-z._~-]*$' SHA256SUMS | head -n 1)"
  fi
  cut -c 67- SHA256SUMS >"$work/names"
  if [ "$(sort -u "$work/names")" = "$(cat "$work/names")" ]; then ok "SHA256SUMS lists $(grep -c . "$work/names") files, in order"; else bad 'SHA256SUMS is not in order, or names a file twice'; fi
  while read -r name; do
    if [ ! -f "$name" ] || [ -L "$name" ]; then bad "$name is listed, and is not here"
    elif [ "$(sum <"$name")" = "$(listed "$name")" ]; then ok "$name has the sum that is listed"
    else bad "$name does not have the sum that is listed"; fi
  done <"$work/names"
  for name in * .[!.]* ..?*; do
    case $name in
      SHA256SUMS | SHA256SUMS.minisig | "$beside") continue ;;
      *.minisig) grep -qxF "${name%.minisig}" "$work/names" && continue ;;
    esac
    if [ -e "$name" ] || [ -L "$name" ]; then grep -qxF -e "$name" "$work/names" || bad "$name is here, and is not listed"; fi
  done
}

# What a release of these programs has.
whole() {
  for name in check RELEASE_NOTES.md "husk-$version-source.tar.gz" "husk-$version-airgap.tar"; do
    [ -n "$(listed "$name")" ] || bad "$name is missing from the list"
  done
  for program in $programs; do
    [ -n "$(listed "${program%.exe}.cdx.json")" ] || bad "${program%.exe}.cdx.json is missing from the list"
    case $program in
      *-linux-amd64) needs="husk-$version-oci.tar husk_${package}_amd64.deb husk-$package-1.x86_64.rpm" ;;
      *-linux-arm64) needs="husk-$version-oci.tar husk_${package}_arm64.deb husk-$package-1.aarch64.rpm" ;;
      *-linux-armv7) needs="husk_${package}_armhf.deb husk-$package-1.armv7hl.rpm" ;;
      *) needs='' ;;
    esac
    for name in $needs; do [ -n "$(listed "$name")" ] || bad "$name is missing from the list"; done
  done
}

signature() {
  if [ ! -e "$1.minisig" ]; then
    if [ -n "$key" ]; then bad "$1 is not signed: $1.minisig is missing"; else printf '       %s is not signed\n' "$1"; fi
  elif [ -z "$key" ]; then unseen "signature not checked of $1: give the public key"
  elif ! have minisign; then unseen "signature not checked of $1: apt-get install minisign"
  elif said=$(minisign -VQ -P "$key" -m "$1" 2>&1); then
    case $said in "husk $version "*) ok "$1 is signed, as $said" ;; *) bad "$1 is signed as something else: $said" ;; esac
  else bad "$1 is not signed by this key: $said"; fi
}

# kind is what the first bytes of a program say that it runs on.
kind() {
  case $(od -An -v -tx1 -N 4 "$1" | tr -d ' \n') in
    7f454c46)
      case $(number "$1" 4 1).$(number "$1" 18 2) in
        2.62) echo linux-amd64 ;; 2.183) echo linux-arm64 ;; 1.40) echo linux-armv7 ;; 1.3) echo linux-386 ;;
        *) echo "an ELF program of machine $(number "$1" 18 2)" ;;
      esac ;;
    cffaedfe)
      case $(number "$1" 4 4) in
        16777223) echo darwin-amd64 ;; 16777228) echo darwin-arm64 ;; *) echo "a Mach-O program of CPU $(number "$1" 4 4)" ;;
      esac ;;
    4d5a????)
      at=$(number "$1" 60 4)
      case $(number "$1" "$at" 4).$(number "$1" $((at + 4)) 2) in
        17744.34404) echo windows-amd64 ;; *) echo 'a program of Windows for another machine' ;;
      esac ;;
    *) echo 'no program' ;;
  esac
}

# static: an ELF program that asks for no interpreter and no library.
static() {
  if [ "$(number "$1" 4 1)" = 2 ]; then set -- "$1" "$(number "$1" 32 8)" "$(number "$1" 54 2)" "$(number "$1" 56 2)"
  else set -- "$1" "$(number "$1" 28 4)" "$(number "$1" 42 2)" "$(number "$1" 44 2)"; fi
  i=0
  while [ $i -lt "$4" ]; do
    case $(number "$1" $(($2 + i * $3)) 4) in 2 | 3) return 1 ;; esac # PT_DYNAMIC, PT_INTERP
    i=$((i + 1))
  done
  [ $i -gt 0 ]
}

# runner is what starts a program for $1: env, an emulator, or nothing where it can't
# be; no machine but their own starts those of other systems.
runner() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) native=linux-amd64 ;; Linux-aarch64) native=linux-arm64 ;; Linux-armv7l) native=linux-armv7 ;;
    Darwin-x86_64) native=darwin-amd64 ;; Darwin-arm64) native=darwin-arm64 ;; *) native='' ;;
  esac
  case $1 in
    "$native") echo env ;;
    linux-amd64) command -v qemu-x86_64-static || command -v qemu-x86_64 ;;
    linux-arm64) command -v qemu-aarch64-static || command -v qemu-aarch64 ;;
    linux-armv7) command -v qemu-arm-static || command -v qemu-arm ;;
    linux-386) command -v qemu-i386-static || command -v qemu-i386 ;;
  esac
}

program() {
  for_=${1#"husk-$version-"} for_=${for_%.exe}
  same "$1 is for" "$(kind "$1")" "$for_"
  # What it says of itself stands in it as one text.
  if grep -aqxF "commit $commit" "$1" && grep -aq "$(printf %s "$number" | sed 's/[.]/[.]/g')\$" "$1"; then ok "$1 has the number and the commit of the source"; else bad "$1 was not made of the source of $version"; fi
  case $for_ in linux-*) if static "$1"; then ok "$1 is static"; else bad "$1 is not static: it wants an interpreter or libraries"; fi ;; esac
  by=$(runner "$for_")
  if [ -z "$by" ]; then
    case $for_ in linux-*) unseen "$1 was not started: apt-get install qemu-user-static" ;; esac
    return
  fi
  cp "$1" "$work/husk" && chmod 755 "$work/husk"
  said=$(HOME=$work "$by" "$work/husk" version 2>&1)
  case $said in "husk $number ("*) ok "$1 starts, and says $said" ;; *) bad "$1 does not say that it is $number: $said" ;; esac
  if said=$(HOME=$work "$by" "$work/husk" version --verify SHA256SUMS 2>&1); then ok "$1 knows itself in SHA256SUMS"; else bad "$1 does not know itself in SHA256SUMS: $said"; fi
}

# bom: JSON that names the program, by name and sum.
bom() {
  bom=${1%.exe}.cdx.json
  if have jq; then
    said=$(jq -er '[.bomFormat, .metadata.component.name, .metadata.component.version, .metadata.component.hashes[0].content, .metadata.component.externalReferences[0].url, (.components | length > 0)] | join(" ")' "$bom" 2>&1)
    same "$bom is of" "$said" "CycloneDX husk $version $(listed "$1") $1 true"
  else unseen "$bom was not read: apt-get install jq"; fi
  if ! have go || ! have jq; then unseen "$bom was not held to the modules in the program: it wants go and jq"; return; fi
  go version -m "$1" 2>/dev/null | awk '$1 == "dep" {print $2, $3}' | sort >"$work/there"
  jq -r '.components[] | select(.name != "std") | .name + " " + .version' "$bom" 2>/dev/null | sort >"$work/told"
  if [ -s "$work/there" ] && cmp -s "$work/there" "$work/told"; then ok "$bom has the $(grep -c . "$work/told") modules that are in the program"
  else bad "$bom has other modules than the program: $(diff "$work/there" "$work/told" | sed -n 2p)"; fi
}

# What a package is to have besides the program, from its root.
parts='lib/systemd/system/husk.service lib/systemd/system/husk.socket lib/sysusers.d/husk.conf lib/tmpfiles.d/husk.conf etc/husk/husk.yaml share/man/man1/husk.1 bash-completion/completions/husk share/doc/husk'

has_parts() {
  for part in $parts; do grep -q -e "$part" "$work/contents" || bad "$1 has no $part"; done
}

deb() {
  if ! have dpkg-deb; then unseen "$1 was not looked into: apt-get install dpkg"; return; fi
  same "$1 is" "$(dpkg-deb -f "$1" Package Version Architecture 2>&1 | sed 's/^[A-Za-z]*: //' | tr '\n' ' ')" "husk $package $2 "
  dpkg-deb --contents "$1" >"$work/contents" 2>&1 || bad "$1 can't be unpacked: $(tail -n 1 "$work/contents")"
  has_parts "$1"
  dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -xOf - ./usr/bin/husk 2>/dev/null | is "$3" "usr/bin/husk of $1"
}

rpm_() {
  if ! have rpm; then unseen "$1 was not looked into: apt-get install rpm"; return; fi
  same "$1 is" "$(rpm -qp --nosignature --qf '%{NAME} %{VERSION}-%{RELEASE} %{ARCH}' "$1" 2>&1)" "husk $package-1 $2"
  if said=$(rpm -K --nosignature "$1" 2>&1); then ok "$1 has the content that its head says"; else bad "$1 has other content than its head says: $said"; fi
  rpm -qp --nosignature --dump "$1" >"$work/contents" 2>&1
  has_parts "$1"
  same "usr/bin/husk of $1 has the sum" "$(awk '$1 == "/usr/bin/husk" {print $4}' "$work/contents")" "$(listed "$3")"
}

packages() {
  case $1 in
    *-linux-amd64) deb=amd64 rpm=x86_64 ;; *-linux-arm64) deb=arm64 rpm=aarch64 ;; *-linux-armv7) deb=armhf rpm=armv7hl ;; *) return ;;
  esac
  [ ! -f "husk_${package}_$deb.deb" ] || deb "husk_${package}_$deb.deb" $deb "$1"
  [ ! -f "husk-$package-1.$rpm.rpm" ] || rpm_ "husk-$package-1.$rpm.rpm" $rpm "$1"
}

# image: each blob has the digest that it is named by, one layer has each program, and
# what reads images finds each architecture.
image() {
  mkdir "$work/image"
  if ! tar -xf "$1" -C "$work/image" 2>"$work/said"; then bad "$1 can't be unpacked: $(head -n 1 "$work/said")"; return; fi
  : >"$work/layers"
  blobs=0
  for blob in "$work"/image/blobs/sha256/*; do
    [ -f "$blob" ] || continue
    blobs=$((blobs + 1))
    [ "$(sum <"$blob")" = "${blob##*/}" ] || bad "$1: blob ${blob##*/} does not have its digest"
    gzip -t "$blob" 2>/dev/null && gzip -dc "$blob" | tar -xOf - husk 2>/dev/null | sum >>"$work/layers"
  done
  if [ $blobs -gt 0 ]; then ok "$1 has $blobs blobs, by their digest"; else bad "$1 has no blobs"; fi
  for program in $programs; do
    case $program in *-linux-amd64 | *-linux-arm64) ;; *) continue ;; esac
    if grep -qxF "$(listed "$program")" "$work/layers"; then ok "husk of a layer of $1 is $program"; else bad "no layer of $1 has $program"; fi
    if ! have skopeo; then unseen "$1 was not looked at as an image: apt-get install skopeo"; continue; fi
    cpu=${program##*-}
    said=$(skopeo inspect --override-os linux --override-arch "$cpu" --config --format '{{.OS}} {{.Architecture}} {{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{index .Config.Labels "org.opencontainers.image.version"}} {{index .Config.Labels "org.opencontainers.image.revision"}}' "oci-archive:$1" 2>&1)
    same "$1 is for" "$said" "linux $cpu 65532:65532 [/husk] [serve] $number $commit"
  done
}

# bundle: it proves itself, is small enough, and has the very files that are beside it.
bundle() {
  size=$(wc -c <"$1")
  if [ "$size" -lt 150000000 ]; then ok "$1 has $((size / 1000000)) MB"; else bad "$1 has $size bytes, and 150 MB are its bound"; fi
  by='' proof=''
  for program in $programs; do
    by=$(runner "${program#"husk-$version-"}")
    [ -z "$by" ] || { cp "$program" "$work/husk" && chmod 755 "$work/husk"; break; }
  done
  if [ -n "$key" ]; then proof=--key=$key; else proof=--unsigned; fi
  if [ -z "$by" ]; then unseen "$1 was not verified: no program of this release starts here"
  elif [ -z "$key" ] && [ -e SHA256SUMS.minisig ]; then unseen "$1 was not verified: give the public key"
  elif said=$(HOME=$work "$by" "$work/husk" bundle verify "$1" "$proof" --version "$version" 2>&1); then ok "$1 verifies: $(printf '%s\n' "$said" | tail -n 1)"
  else bad "$1 does not verify: $(printf '%s\n' "$said" | head -n 1)"; fi
  mkdir "$work/bundle"
  if ! tar -xf "$1" -C "$work/bundle" 2>"$work/said"; then bad "$1 can't be unpacked: $(head -n 1 "$work/said")"; return; fi
  while read -r name; do
    case $name in check | RELEASE_NOTES.md | *-airgap.tar) continue ;; esac
    if found=$(find "$work/bundle" -type f -name "$name" | grep .); then is "$name" "${found#"$work/bundle/"}" <"$found"
    elif found=$(find "$work/bundle" -type f -name "$name.gz" | grep .); then gzip -dc "$found" 2>/dev/null | is "$name" "${found#"$work/bundle/"}"
    else bad "$1 has no $name"; fi
  done <"$work/names"
  rm -rf "$work/bundle"
}

# source: the programs once more, without a network, in caches of their own.
rebuilt() {
  if [ -z "$rebuild" ]; then return; fi
  if ! have go; then unseen 'the programs were not made again: there is no go'; return; fi
  tar -xzf "$1" -C "$work" || { bad "$1 can't be unpacked"; return; }
  for program in $programs; do
    for_=${program#"husk-$version-"} for_=${for_%.exe} cpu=${for_#*-}
    [ "$cpu" != armv7 ] || cpu=arm
    (cd "$work/husk-$version" && unset GOFLAGS GOWORK GOEXPERIMENT GOFIPS140 GOAMD64 GOARM64 && GOENV=off GOTOOLCHAIN=local GOPROXY=off GOMODCACHE=$work/modules GOCACHE=$work/cache CGO_ENABLED=0 GOARM=7 GOOS=${for_%-*} GOARCH=$cpu \
      go build -mod=vendor -trimpath -buildvcs=false -ldflags '-s -w' -o "$work/built" .) >"$work/said" 2>&1 || { bad "$1 does not make $program: $(head -n 1 "$work/said")"; continue; }
    is "$program" "what $1 makes with $(go env GOVERSION)" <"$work/built"
  done
}

[ -f SHA256SUMS ] || { bad 'SHA256SUMS is missing: nothing can be told without it'; exit 1; }
version=$(sed -n 's/^[0-9a-f]\{64\}  husk-\(v[0-9].*\)-source[.]tar[.]gz$/\1/p' SHA256SUMS)
[ -n "$version" ] || { bad 'SHA256SUMS lists no source: this is no release'; exit 1; }
number=${version#v}
package=$(printf %s "$number" | sed 's/-/~/') # 0.2.0~rc.1 comes before 0.2.0
files
programs=$(sed -n "s/^[0-9a-f]\{64\}  \(husk-$version-[a-z]*-[0-9a-z]*\(.exe\)\{0,1\}\)\$/\1/p" SHA256SUMS)
present='' # those that can be looked at
for program in $programs; do [ ! -f "$program" ] || present="$present $program"; done
whole
programs=$present
[ -n "$programs" ] || bad 'there is no program'
signature SHA256SUMS
[ ! -f "husk-$version-airgap.tar" ] || signature "husk-$version-airgap.tar"

stamp=$(tar -xzOf "husk-$version-source.tar.gz" "husk-$version/cmd/release.txt" 2>/dev/null)
commit=$(printf '%s\n' "$stamp" | sed -n 's/^commit //p')
same "husk-$version-source.tar.gz is the source of" "$(printf '%s\n' "$stamp" | head -n 1)" "$number"
case $commit in *[!0-9a-f]* | '') bad "husk-$version-source.tar.gz does not say of which commit it is"; commit=none ;; esac
if [ -f RELEASE_NOTES.md ]; then same 'RELEASE_NOTES.md begins with' "$(head -n 1 RELEASE_NOTES.md)" "# Husk $number"; fi

for program in $programs; do
  program "$program"
  [ ! -f "${program%.exe}.cdx.json" ] || bom "$program"
  packages "$program"
done
[ ! -f "husk-$version-oci.tar" ] || image "husk-$version-oci.tar"
[ ! -f "husk-$version-airgap.tar" ] || bundle "husk-$version-airgap.tar"
rebuilt "husk-$version-source.tar.gz"

sort -u "$work/unseen" | sed 's/^/NOT LOOKED AT  /'
missed=$(sort -u "$work/unseen" | grep -c .)
if [ $wrong -gt 0 ]; then
  echo "husk $version: $wrong things are WRONG, $held hold, $missed were not looked at. Do not use it."
  exit 1
fi
if [ "$missed" -gt 0 ] && [ "${CI-}" = true ]; then
  echo "husk $version: $held things hold, and $missed were not looked at, which is a failure under CI=true."
  exit 1
fi
echo "husk $version: all $held things hold; $missed were not looked at."
