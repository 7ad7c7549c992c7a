#!/bin/sh
# Compiles the rooms given (default: all of src/) for ARM64 with warnings as errors, and runs the kernel
# checks on them under qemu. Skips, with exit status 77, where the cross compiler is missing.
#
#   tools/check_arm64.sh [room...]
set -eu

cc=${ARM64_CC:-aarch64-linux-gnu-gcc}
qemu=${ARM64_QEMU:-qemu-aarch64}
sysroot=${ARM64_SYSROOT:-/usr/aarch64-linux-gnu}
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- base parallel kernels io cache storage column learn quant index filter table query api

command -v "$cc" >/dev/null || { echo "check_arm64: no $cc" >&2; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

flags="-std=c17 -O3 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Werror -fno-strict-overflow -ffp-contract=off
    -ftrivial-auto-var-init=zero -Iinclude -Isrc -I$out"
objects=
for room in "$@"; do
    for grammar in $(find "src/$room" -name '*.y'); do # where CMakeLists.txt has the same
        mkdir -p "$out/$room"
        lemon -q -l "-d$out/$room" "$grammar"
    done
    for source in $(find "src/$room" -name '*.c' | sort); do
        object=$out/$(basename "$source" .c).o
        # shellcheck disable=SC2086
        "$cc" $flags -DKITH_VERSION_TEXT='"'"$(cat VERSION)"'"' -c "$source" -o "$object"
        case $room in base | kernels) objects="$objects $object" ;; esac
    done
done
echo "check_arm64: compiled $*"

# shellcheck disable=SC2086
"$cc" $flags tests/unit/kernels/kernels_check_main.c $objects -o "$out/check" -lm -lpthread
command -v "$qemu" >/dev/null || { echo "check_arm64: no $qemu, so nothing was run" >&2; exit 0; }
"$qemu" -L "$sysroot" "$out/check"
