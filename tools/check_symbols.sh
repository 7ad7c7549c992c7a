#!/bin/sh
# The shared library exports what kith.h declares and nothing else; inside, names that cross files begin with
# kt_ or kith_; and it carries the hardening that the build asked for.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
library=$(ls "$build"/libkith.so.*.*.*)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort)
declared=$(grep -oE '\bkith_[a-z0-9_]+\(' include/kith.h | tr -d '(' | sort -u)
extra=$(printf '%s\n' "$exported" | grep -vxF "$declared" || true)
[ -z "$extra" ] || { echo "symbols: exported but not declared in kith.h: $extra" >&2; exit 1; }
for name in $(grep -oE 'KITH_API [^;]*' include/kith.h | grep -oE '\bkith_[a-z0-9_]+\(' | tr -d '('); do
    printf '%s\n' "$exported" | grep -qx "$name" || { echo "symbols: $name is declared but not exported" >&2; exit 1; }
done
stray=$(nm --defined-only "$build"/libkith.a 2>/dev/null | awk '$2 ~ /^[TDBRVW]$/ {print $3}' | grep -vE '^(kt_|kith_|__|asan|_GLOBAL)' || true)
[ -z "$stray" ] || { echo "symbols: names that are neither static nor kt_: $stray" >&2; exit 1; }
readelf -d "$library" | grep -q BIND_NOW || { echo "symbols: $library is linked without -z now" >&2; exit 1; }
readelf -lW "$library" | grep GNU_STACK | grep -qv 'RWE' || { echo "symbols: $library has an executable stack" >&2; exit 1; }
echo "symbols: $(printf '%s\n' "$exported" | wc -l) exported, all in kith.h"
