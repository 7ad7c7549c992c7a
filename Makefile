# The front door. Everything here goes through CMake (CMakeLists.txt) or pip (pyproject.toml).
BUILD  ?= build
JOBS   ?= $(shell nproc)
PYTHON := .venv/bin/python
CMAKE_ARGS ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## system packages and the Python environment; costs nothing when done
	@tools/setup.sh

build: setup ## the library, the command line and the tests, into build/
	@cmake -G Ninja -B $(BUILD) -DKITH_WERROR=ON $(CMAKE_ARGS) > /dev/null
	@cmake --build $(BUILD) -j $(JOBS) -- --quiet

python: setup ## the Python package, installed into .venv
	@tools/install_python.sh

demo: python ## real sentence embeddings: load, search, index, search again
	@cmake -G Ninja -B $(BUILD) -DKITH_WERROR=ON $(CMAKE_ARGS) > /dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target kith_cli -- --quiet
	@$(PYTHON) examples/demo.py

test: check faults asan pytest ## everything that a change must pass
check: build ## layers, headers, C tests, command line
	@$(PYTHON) tools/check_layers.py
	@tools/check_headers.sh
	@tools/check_symbols.sh $(BUILD)
	@tools/check_arm64.sh || [ $$? = 77 ]
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE fault

faults: build ## bad disks, no memory, power cuts, flipped bits, kill -9: some of each
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -L fault

asan: setup ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake -G Ninja -B $(BUILD)/asan -DKITH_WERROR=ON -DKITH_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo > /dev/null
	@cmake --build $(BUILD)/asan -j $(JOBS) -- --quiet
	@ctest --test-dir $(BUILD)/asan --output-on-failure -j $(JOBS)

tsan: setup ## the C tests under ThreadSanitizer
	@cmake -G Ninja -B $(BUILD)/tsan -DKITH_SANITIZE=thread > /dev/null
	@cmake --build $(BUILD)/tsan -j $(JOBS)
	@TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp setarch -R ctest --test-dir $(BUILD)/tsan --output-on-failure -j $(JOBS)

pytest: build python ## the Python tests
	@KITH_BIN=$(BUILD)/kith $(PYTHON) -m pytest -q tests/python

test-long: test tsan ## what takes longer: the faults in full counts
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -C Long -L long

fuzz: setup ## mutated files, logs, indexes and streams under the sanitizers, new seeds for FUZZ_SECONDS (60)
	@tools/fuzz.sh $(BUILD)/asan

bench: build python ## every figure that the README quotes, with the peers
	@tools/bench.sh

wheel: setup ## dist/kithdb-*.whl
	@$(PYTHON) -m build --wheel --outdir dist . > /dev/null && ls -l dist/*.whl

install: build ## into PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $${PREFIX:-/usr/local}

lint: setup ## formatting, types, the longest functions
	@$(PYTHON) tools/check_layers.py
	@$(PYTHON) tools/longest.py
	@cd python && ../.venv/bin/pyright kith

format: setup ## clang-format, pinned in requirements.txt
	@.venv/bin/clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## removes build/ and dist/
	@rm -rf $(BUILD) dist

.PHONY: help setup build python demo test check faults asan tsan pytest test-long fuzz bench wheel install lint format clean
.DEFAULT_GOAL := help
