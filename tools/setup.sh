#!/bin/sh
# Brings a fresh Debian machine with a C toolchain, CMake and Python 3.11 to a working state: the system
# packages of tools/packages.txt, then a virtual environment .venv from requirements.txt and, without what they
# depend on, requirements-frameworks.txt. Costs nothing when it is done: a stamp remembers the lists it was done for.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.setup-done
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.txt ] && [ "$stamp" -nt requirements-frameworks.txt ] && [ "$stamp" -nt tools/packages.txt ]; then exit 0; fi

missing=""
for package in $(sed 's/#.*//' tools/packages.txt); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    echo "setup: installing$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: Python 3.11 or newer is needed, $python is older; set PYTHON" >&2; exit 1; }
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing Python packages into .venv"
.venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements-frameworks.txt
touch "$stamp"
