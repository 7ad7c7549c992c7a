#!/bin/sh
# The public headers compile alone, as C and as C++, without a warning; and so does what KITH_INIT() makes of each
# option struct.
set -eu
cd "$(dirname "$0")/.."
options=$(sed -n '/^typedef struct/{h;n;/size_t struct_size/{g;s/typedef struct \([a-z_]*\) {/\1/p}}' include/kith.h)
for language in "c -std=c99" "c -std=c17" "c++ -std=c++11"; do
    # shellcheck disable=SC2086
    { echo '#include <kith.h>'; echo 'int main(void) {'; for name in $options; do echo "$name a_$name = KITH_INIT($name); if (a_$name.struct_size != sizeof($name)) return 1;"; done; echo 'return 0; }'; } |
        ${CC:-cc} -x $language -Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude -fsyntax-only -
done
for header in kith.h kith_arrow.h; do
    for language in "c -std=c99" "c -std=c17" "c++ -std=c++11"; do
        # shellcheck disable=SC2086
        printf '#include "%s"\n' "$header" | ${CC:-cc} -x $language -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -
    done
done
echo "headers: compile alone as C99, C17 and C++11, and so do $(echo "$options" | wc -w) option structs"
