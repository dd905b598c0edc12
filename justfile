# SPDX-License-Identifier: Apache-2.0
# The developer's shortcuts. `just check` is what continuous integration runs.

python := ".venv/bin/python"

# list the shortcuts
default:
    @just --list

# everything into .venv
setup:
    bin/setup

# what continuous integration runs
check:
    .ci/run

# linters, architecture and unit tests; words go to pytest
test *words:
    bin/test --fast {{ words }}

# put the code into its one form
fmt:
    .venv/bin/ruff check --fix --quiet .
    .venv/bin/ruff format .

# what real package managers print, anew, for the tests of the parsers (needs root): just record -k zypper
record *words:
    {{ python }} -m pytest -q -n 0 tests/recorded --record {{ words }}

# which lines of a part no test runs: just cover core
cover part="":
    {{ python }} -m pytest -q -n 0 tests/{{ part }} --cov --cov-report=term -m "not farm and not real and not e2e"

# fix the versions and hashes of every dependency anew, from the public index alone
lock:
    #!/bin/sh
    set -eu
    {{ python }} -m venv build/lock
    build/lock/bin/pip install -q pip-tools
    unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL
    export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND="just lock"
    compile="build/lock/bin/pip-compile --quiet --no-config --upgrade --generate-hashes --allow-unsafe --strip-extras
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links"
    $compile --extra build -o requirements.lock pyproject.toml
    $compile --extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
