#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."

bash deploy/packages.sh test

echo "== release: every test"
cmake --preset release
cmake --build --preset release
ctest --preset release -j 2
