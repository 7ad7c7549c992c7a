#!/bin/sh
# Installs the Python package into .venv, when a source file is newer than what is installed.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.kith-installed
if [ -f "$stamp" ] && [ -z "$(find src include python cmake CMakeLists.txt pyproject.toml VERSION -newer "$stamp" -type f ! -name '*.pyc' -print -quit)" ]; then exit 0; fi
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
touch "$stamp"
