#!/bin/sh
# The public headers compile alone, as C and as C++, without a warning.
set -eu
cd "$(dirname "$0")/.."
for header in kith.h kith_arrow.h; do
    for language in "c -std=c99" "c -std=c17" "c++ -std=c++11"; do
        # shellcheck disable=SC2086
        printf '#include "%s"\n' "$header" | ${CC:-cc} -x $language -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -
    done
done
echo "headers: compile alone as C99, C17 and C++11"
