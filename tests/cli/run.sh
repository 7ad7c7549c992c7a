#!/bin/bash
# Runs the command line's cases: NAME.sh in an empty folder, its standard output compared with NAME.stdout and
# its exit code with NAME.exit (0 when there is none).
#
#   KITH_BIN=build/kith tests/cli/run.sh [--update] [NAME...]
#
# --update writes the expected output anew; read the difference before committing it.
cd "$(dirname "$0")" || exit 1
cases=$PWD
kith_bin=${KITH_BIN:-$cases/../../build/kith}
kith_bin=$(realpath "$kith_bin") || exit 1
update=
if [ "${1:-}" = --update ]; then update=yes; shift; fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/kith-cli-XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$kith_bin" "$scratch/bin/kith"
export PATH="$scratch/bin:$PATH" LC_ALL=C.UTF-8 NO_COLOR=1 KITH_THREADS=2
export KITH_SOURCE=${KITH_SOURCE:-$(realpath "$cases/../..")}

# For cases: runs a command that should fail, shows what it says and how it exits.
fails() {
    "$@" >said.tmp 2>&1
    code=$?
    sed "s#$PWD/##g; s#$PWD#.#g" said.tmp
    rm -f said.tmp
    echo "exit $code"
}
# For cases: takes times and sizes out of a summary.
steady() {
    sed -E 's/ in [0-9.]+ s//; s/ \([0-9,]+ rows\/s\)//; s/, [0-9.]+ [kMGT]?B on disk//; s/[0-9.]+ [kMGT]?B of rows/SIZE of rows/
        s/(allowed|refused) .*/\1/; s/ +METRIC *$//; s/"metric":(null|"l2")/"metric":0/g'
}
# For cases: rows of 4 numbers that are easy to tell apart, as CSV with an id. Their distances are exact
# in float32, and so the same on every machine.
grid() {
    awk -v n="$1" 'BEGIN { print "id,vector"; for (i = 0; i < n; i++)
        printf "%d,\"[%d, %d, %g, %.10g]\"\n", i, i % 10, int(i / 10) % 10, int(i / 100) / 4, (i * 7919 % 1024) / 1024 / 8 }'
}
export -f fails steady grid

failed=0 run=0
for script in "$cases"/*.sh; do
    name=$(basename "$script" .sh)
    [ "$name" = run ] && continue
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    run=$((run + 1))
    mkdir "$scratch/$name"
    (cd "$scratch/$name" && exec bash "$script" >../"$name.out" 2>../"$name.err" </dev/null)
    code=$?
    if [ -n "$update" ]; then
        cp "$scratch/$name.out" "$cases/$name.stdout"
        rm -f "$cases/$name.exit"
        [ $code -eq 0 ] || echo $code >"$cases/$name.exit"
        continue
    fi
    expected=0
    [ -e "$cases/$name.exit" ] && expected=$(cat "$cases/$name.exit")
    if diff -u "$cases/$name.stdout" "$scratch/$name.out" && [ "$code" -eq "$expected" ]; then
        echo "ok   $name"
    else
        echo "FAIL $name (exit $code, expected $expected)"
        sed 's/^/     stderr: /' "$scratch/$name.err"
        failed=$((failed + 1))
    fi
done
echo "$run cases, $failed failed"
[ $failed -eq 0 ]
