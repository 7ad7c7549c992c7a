#!/bin/sh
# What `cmake --install` puts down serves a stranger: examples/hello.c is built from it in the ways that README names, with
# the shared library and with the static one, by pkg-config and by find_package, and says what it says here.
set -eu
cd "$(dirname "$0")/.."
source=$PWD
build=$(cd "${1:-build}" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/kith-install-XXXXXX")
trap 'rm -rf "$folder"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$folder/first" > "$folder/said" || { cat "$folder/said" >&2; exit 1; }
mv "$folder/first" "$folder/prefix" # it does not know where it was
PKG_CONFIG_PATH=$(dirname "$(find "$folder/prefix" -name kith.pc)")
export PKG_CONFIG_PATH
library=$(dirname "$PKG_CONFIG_PATH")
"$build/hello" > "$folder/expected"

says() { # PROGRAM: runs it beside the installed library
    LD_LIBRARY_PATH=$library "$1" > "$folder/out" || fail "$1 failed"
    cmp -s "$folder/out" "$folder/expected" || fail "$1 says $(cat "$folder/out")"
}
# shellcheck disable=SC2046
{
    ${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror examples/hello.c $(pkg-config --cflags --libs kith) -o "$folder/shared"
    says "$folder/shared"
    ${CC:-cc} examples/hello.c $(pkg-config --cflags kith) "$library/libkith.a" \
        $(pkg-config --static --libs kith | sed 's/-lkith//') -o "$folder/static"
    says "$folder/static"
}
ldd "$folder/static" | grep -q libkith && fail "the static program needs libkith.so"

cat > "$folder/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES C)
find_package(kith REQUIRED COMPONENTS \${ASK})
add_executable(consumer $source/examples/hello.c)
target_link_libraries(consumer PRIVATE \${LINK})
END
for link in kith::kith kith::kith_static; do
    ask=; [ $link = kith::kith ] || ask=static
    { cmake -S "$folder" -B "$folder/$link" -DASK=$ask -DLINK=$link -DCMAKE_PREFIX_PATH="$folder/prefix" &&
        cmake --build "$folder/$link"; } > "$folder/said" 2>&1 || { cat "$folder/said" >&2; fail "find_package, $link"; }
    says "$folder/$link/consumer"
done
LD_LIBRARY_PATH=$library "$folder/prefix/bin/kith" version > /dev/null || fail "bin/kith"
echo "install: shared and static, by pkg-config and by find_package"
