#!/usr/bin/env bash
# The bundle for networks without internet: one tar with all that was made so far, how
# to install it there, what to read there, and what it is built from. It has a signed
# list of all its files.
. "$(dirname "$0")/lib.sh"

name=husk-$VERSION-airgap
bundle=$WORK/bundle/$name
most=150000000 # bytes; what fits a stick that anybody has, and is read in seconds
step "$name.tar"
mkdir -p "$bundle"/{bin,packages,image,sbom,source,docs/html,docs/text,man,proxy,systemd,completions,licenses}

# missing ends where a kind of thing was not made: a bundle without it is none.
missing() { echo "dist/release: the bundle has no $1: see dist/steps/$2.sh" >&2; exit 1; }

# Packed: as it is each would be 15 MB more, and the scripts unpack what they need.
linux=''
for target in $TARGETS; do
  program=$(binary "$target")
  gzip -9nc "$program" >"$bundle/bin/$(basename "$program").gz"
  case $target in linux/*) linux=yes ;; esac
  sbom=${program%.exe}.cdx.json
  [ -f "$sbom" ] || missing "SBOM for $target" sbom
  install -m 644 "$sbom" "$bundle/sbom/"
done
if [ -n "$linux" ]; then
  for kind in deb rpm; do
    compgen -G "$OUT/*.$kind" >/dev/null || missing "packages (.$kind)" packages
    install -m 644 "$OUT"/*."$kind" "$bundle/packages/"
  done
  image=$OUT/husk-$VERSION-oci.tar
  [ -f "$image" ] || missing image image
  install -m 644 "$image" "$bundle/image/"
fi
install -m 644 "$OUT/husk-$VERSION-source.tar.gz" "$bundle/source/"

# To read, to install.
husk=$(native)
[ -x "$husk" ] || { husk=$WORK/husk && (cd "$SOURCE" && go build -mod=vendor -o "$husk" .); }
"$husk" man --quiet "$bundle/man"
"$husk" man --quiet --html "$bundle/docs/html"
"$husk" completion bash >"$bundle/completions/husk.bash"
"$husk" completion zsh >"$bundle/completions/_husk"
"$husk" completion fish >"$bundle/completions/husk.fish"
(cd "$SOURCE" && cp --parents README.md CHANGELOG.md SECURITY.md ARCHITECTURE.md LICENSE "$bundle/docs/text" && cp -r docs "$bundle/docs/text/")
(cd "$SOURCE/dist" && cp systemd/* "$bundle/systemd/" && cp proxy/* "$bundle/proxy/" && cp -r nginx caddy "$bundle/proxy/" && cp container/* "$bundle/image/")
(cd "$SOURCE/dist/airgap" && cp README.txt common.sh "$bundle/" && install -m 755 install.sh uninstall.sh verify "$bundle/")

# The licences of all that is in the programs; the step of the packages has them already.
[ -d "$WORK/licenses" ] || bash "$here/dist/packages/licenses" "$SOURCE" "$WORK/licenses"
cp -r "$WORK/licenses/." "$bundle/licenses/"

goversion=$(go env GOVERSION)
cat >"$bundle/GO_VERSION" <<END
$goversion

The programs were made by this Go, of source/husk-$VERSION-source.tar.gz, which has all
they are built from. The same bytes come of it anywhere, without a network:

  mkdir ../build
  tar -xzf source/husk-$VERSION-source.tar.gz -C ../build
  cd ../build/husk-$VERSION
  CGO_ENABLED=0 GOPROXY=off GOTOOLCHAIN=local go build -mod=vendor -trimpath -buildvcs=false -ldflags '-s -w' -o husk .
  gzip -dc ../../$name/bin/husk-$VERSION-linux-amd64.gz | cmp husk -

For another platform set GOOS and GOARCH before it (GOARM=7 for arm). Go itself is not in
the bundle: carry its archive in along with it, and verify that by its own checksum.
END

# Modes of what was copied are those of the one who checked it out.
chmod -R u=rwX,go=rX "$bundle"
(cd "$bundle" && find . -type f -printf '%P\n' | sort | tr '\n' '\0' | xargs -0 sha256sum >"$WORK/SHA256SUMS")
install -m 644 "$WORK/SHA256SUMS" "$bundle/SHA256SUMS"

[ -z "$KEY" ] || sign "$bundle/SHA256SUMS"
pack "$WORK/bundle" "$name" >"$OUT/$name.tar"
[ -z "$KEY" ] || sign "$OUT/$name.tar"

size=$(stat -c %s "$OUT/$name.tar")
[ "$size" -lt "$most" ] || { echo "dist/release: $name.tar has $size bytes, and is to have less than $most" >&2; exit 1; }
step "$name.tar has $size bytes"
