#!/usr/bin/env bash
# The packages: .deb and .rpm of each Linux program. What is in them besides the
# program is the same for every machine, and is made once.
. "$(dirname "$0")/lib.sh"
work=$WORK/packages from=$here/dist
schema=$(sed -n 's/^const SchemaVersion = \([0-9]*\)$/\1/p' "$SOURCE/db/migrate.go")
[ -n "$schema" ] || { echo 'dist/release: db/migrate.go does not say which schema the program writes' >&2; exit 1; }
version=${NUMBER/-/\~} # 0.2.0~rc.1 comes before 0.2.0
[ -x "$(native)" ] || { echo 'dist/release: TARGETS has to name this machine too: its program writes the manual pages' >&2; exit 1; }
mkdir "$work"

step 'licences'
bash "$from/packages/licenses" "$SOURCE" "$WORK/licenses"

# place puts files into a folder below root, as a package has them.
place() {
  local folder=$root$1
  shift
  mkdir -p "$folder"
  cp "$@" "$folder/"
}

# named puts one file, or what stands in stdin, under a name below root.
named() { mkdir -p "$root${1%/*}" && cat "${2:--}" >"$root$1"; }

# husk runs the program without anything of this machine's settings.
husk() { env -i HOME=/nonexistent PATH="$PATH" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" TZ=UTC LC_ALL=C "$(native)" "$@"; }

# changelog is in the form that Debian's tools read.
changelog() {
  printf 'husk (%s) stable; urgency=medium\n\n  * What is new stands in CHANGELOG.md beside this file.\n\n -- %s  %s\n' \
    "$version" "$(sed -n 's/^maintainer: //p' "$from/packages/nfpm.yaml.in")" "$(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")"
}

# tree makes what a kind of package has on every machine.
tree() {
  local kind=$1 root=$work/$1/root doc=/usr/share/doc/husk zsh f
  named /usr/lib/sysusers.d/husk.conf "$SOURCE/dist/systemd/husk.sysusers"
  named /usr/lib/tmpfiles.d/husk.conf "$SOURCE/dist/systemd/husk.tmpfiles"
  place /usr/lib/systemd/system "$SOURCE"/dist/systemd/husk.{service,socket}
  named /etc/husk/husk.yaml "$SOURCE/dist/systemd/husk.yaml"
  place /usr/share/man/man1 "$work"/man/*.1.gz
  case $kind in deb) zsh=vendor-completions ;; rpm) zsh=site-functions ;; esac
  husk completion bash | named /usr/share/bash-completion/completions/husk
  husk completion zsh | named /usr/share/zsh/$zsh/_husk
  husk completion fish | named /usr/share/fish/vendor_completions.d/husk.fish
  # The pages keep their places, and what they lead to: here their commands work, too.
  place $doc "$SOURCE"/{README,SECURITY,CHANGELOG}.md
  (cd "$SOURCE" && find docs dist/{proxy,nginx,caddy} -type f ! -path 'docs/screenshots/*') | while read -r f; do
    place "$doc/${f%/*}" "$SOURCE/$f"
  done
  case $kind in
    deb)
      named $doc/copyright "$WORK/licenses/copyright"
      changelog | gzip -9n | named $doc/changelog.gz
      named /usr/share/lintian/overrides/husk "$from/packages/lintian-overrides"
      ;;
    rpm)
      mkdir -p "$root/usr/share/licenses"
      cp -r "$WORK/licenses" "$root/usr/share/licenses/husk"
      ;;
  esac
}

# contents lists the files of a tree for nfpm: what a package has and what it owns.
contents() {
  local root=$1 kind=$2 f type
  echo 'contents:'
  printf '  - {src: "%s", dst: /usr/bin/husk, file_info: {mode: 0755}}\n' "$3"
  (cd "$root" && find . -type d \( -path './etc/husk*' -o -path './usr/share/doc/husk*' -o -path './usr/share/licenses/husk*' \) | sort) | while read -r f; do
    printf '  - {dst: "%s", type: dir, file_info: {mode: 0755}}\n' "${f#.}"
  done
  (cd "$root" && find . -type f | sort) | while read -r f; do
    f=${f#.} type=''
    case $kind$f in
      */etc/*) type='config|noreplace' ;;
      rpm/usr/share/licenses/*) type=license ;;
      rpm/usr/share/doc/* | rpm/usr/share/man/*) type=doc ;;
    esac
    printf '  - {src: "root%s", dst: "%s", type: "%s", file_info: {mode: 0644}}\n' "$f" "$f" "$type"
  done
}

# script takes in what several have in common, and tells which release it is of.
script() {
  awk -v dir="$from/packages" '/^# @include / { while ((getline line < (dir "/" $3)) > 0) print line; next } { print }' "$1" |
    sed -e "s/@SCHEMA@/$schema/g" -e "s/@NUMBER@/$NUMBER/g"
}

scripts() {
  local kind=$1 dir=$work/$1/scripts name
  mkdir -p "$dir"
  while read -r name file; do
    script "$from/packages/$kind/$file" >"$dir/$name"
  done
}

build() {
  local kind=$1 cpu=$2 target=$3 release=
  [ "$kind" != rpm ] || release=1
  {
    sed -e "s/@ARCH@/${cpu/%arm/arm7}/" -e "s/@NUMBER@/$NUMBER/" -e "s/@RELEASE@/$release/" \
      -e "s/@TIME@/$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)/" \
      -e "$([ "$kind" = rpm ] || echo '/^  scripts:$/,/posttrans/d')" "$from/packages/nfpm.yaml.in"
    contents "$work/$kind/root" "$kind" "$(binary "linux/$cpu")"
  } >"$work/$kind/$cpu.yaml"
  (cd "$work/$kind" && "$TOOLS/nfpm" package --config "$cpu.yaml" --packager "$kind" --target "$target" >/dev/null)
}

step 'man pages and completions'
husk man "$work/man" 2>/dev/null
gzip -9n "$work"/man/*.1
tree deb && tree rpm
scripts deb <<<'preinstall preinst
postinstall postinst
preremove prerm
postremove postrm'
scripts rpm <<<'preinstall pre
postinstall post
preremove preun
postremove postun
posttrans posttrans'

pids=()
for target in $TARGETS; do
  case $target in
    linux/amd64) deb=amd64 rpm=x86_64 ;;
    linux/arm64) deb=arm64 rpm=aarch64 ;;
    linux/arm) deb=armhf rpm=armv7hl ;;
    *) continue ;;
  esac
  step "packages for $target"
  build deb "${target#*/}" "$OUT/husk_${version}_$deb.deb" & pids+=($!)
  build rpm "${target#*/}" "$OUT/husk-$version-1.$rpm.rpm" & pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid"; done
  pids=()
done
