#!/usr/bin/env bash
# One image for all architectures of Linux that clusters have, with the programs of
# the release, and the licences of what they are made of.
. "$(dirname "$0")/lib.sh"

step 'image'
# The step of the packages has them already.
[ -d "$WORK/licenses" ] || bash "$here/dist/packages/licenses" "$SOURCE" "$WORK/licenses"
roots=()
for cpu in amd64 arm64; do
  case " $TARGETS " in *" linux/$cpu "*) ;; *) continue ;; esac
  root=$WORK/image/$cpu
  mkdir -p "$root/licenses"
  cp "$(binary "linux/$cpu")" "$root/husk"
  cp -r "$WORK/licenses/." "$root/licenses/"
  roots+=("$root")
done
[ ${#roots[@]} -gt 0 ] || exit 0
"$TOOLS/image" "$WORK/image/layout" "${roots[@]}"
pack "$WORK/image/layout" . >"$OUT/husk-$VERSION-oci.tar"
