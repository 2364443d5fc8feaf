#!/usr/bin/env bash
# collect_image.sh BINARIES FOLDER PROGRAM...: copies programs, the shared libraries that they load and
# the licences of these into FOLDER, laid out as the root of an image that holds nothing else.
set -euo pipefail
binaries=$1 folder=$2
shift 2

mkdir -p "$folder/usr/bin"
for program in "$@"; do
  cp "$binaries/$program" "$folder/usr/bin/"
  # "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)", and the loader as "/lib64/ld-… (0x…)".
  ldd "$binaries/$program" | grep -o '/[^ ]*' | while read -r library; do
    cp --dereference --parents --no-clobber "$library" "$folder"
    # dpkg knows a library by one of its two names, for /lib is a link to /usr/lib.
    package=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "/usr$library" 2>/dev/null || true)
    licence=/usr/share/doc/${package%%:*}/copyright
    [[ -z $package ]] || cp --dereference --parents --no-clobber "$licence" "$folder"
  done
done
