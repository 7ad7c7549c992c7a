#!/bin/sh
# Runs the mutation tests under the sanitizers with a new seed each time, for FUZZ_SECONDS (60). Each program makes
# thousands of mutants with right checksums; a failure prints the seed, which KITH_SEED repeats.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/asan}
cmake -G Ninja -B "$build" -DKITH_SANITIZE=address,undefined > /dev/null
cmake --build "$build" --target test_column_hostile test_ivf_hostile test_scalar_hostile test_store_damage test_filter_hostile > /dev/null
end=$(($(date +%s) + ${FUZZ_SECONDS:-60}))
runs=0
while [ "$(date +%s)" -lt "$end" ]; do
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    for program in test_column_hostile test_ivf_hostile test_scalar_hostile test_store_damage test_filter_hostile; do
        KITH_SEED=$seed KITH_SOURCE=$PWD "$build/$program" > "$build/fuzz.log" 2>&1 ||
            { tail -40 "$build/fuzz.log"; echo "fuzz: KITH_SEED=$seed $build/$program" >&2; exit 1; }
    done
    runs=$((runs + 1))
done
echo "fuzz: $runs seeds, no crash and no wrong answer"
