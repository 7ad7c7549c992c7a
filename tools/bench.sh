#!/bin/sh
# Every figure that the README quotes, in one go. The peers live in .venv-bench; Kith is put there too, so that one
# process measures both.
set -eu
cd "$(dirname "$0")/.."
if [ ! -x .venv-bench/bin/python ] || [ bench/requirements.txt -nt .venv-bench/.done ]; then
    python3 -m venv .venv-bench
    .venv-bench/bin/python -m pip install -q --disable-pip-version-check -r bench/requirements.txt
    touch .venv-bench/.done
fi
rm -rf .venv-bench/lib/python3*/site-packages/kith
cp -r .venv/lib/python3*/site-packages/kith .venv-bench/lib/python3*/site-packages/
cmake --build build --target bench_kernels
echo "== kernels";    build/bench_kernels
echo "== seed";       .venv-bench/bin/python bench/bench_seed.py
echo "== scan";       .venv-bench/bin/python bench/bench_scan.py
echo "== ingest";     .venv-bench/bin/python bench/bench_ingest.py
echo "== cold start"; .venv-bench/bin/python bench/bench_cold.py
