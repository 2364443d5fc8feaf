#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# Begins a section; says how long the one before took.
title=
began=0
section() {
  if [[ -n $title ]]; then echo "== $((SECONDS - began)) s: $title"; fi
  title=$*
  began=$SECONDS
  if [[ -n $title ]]; then printf '\n== %s\n' "$title"; fi
}
trap 'kill $(jobs -p) 2>/dev/null || true; section; echo "== $SECONDS s in all"' EXIT

section "Packages"
bash deploy/packages.sh test
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi

section "Format and scripts"
git ls-files '*.h' '*.cc' | xargs clang-format --dry-run -Werror
git ls-files '*.sh' 'deploy/package/server/p*' | xargs shellcheck

section "Every test, as released"
cmake --preset release -DBUILD_TESTING=ON
cmake --build --preset release
ctest --preset release -j 2

section "Tests, with AddressSanitizer and UndefinedBehaviorSanitizer"
cmake --preset asan
cmake --build --preset asan --target tests_without_grpc tests_with_grpc system_test_programs fuzz_targets
ctest --preset asan -E '^system/(forged_files|kubernetes)$' -j 2

section "Tests that link no gRPC, with ThreadSanitizer"
cmake --preset tsan
cmake --build --preset tsan
ctest --preset tsan -j 2

section "Containers, where there is an engine"
bash tests/system/compose_test.sh || [[ $? -eq 77 ]]

section "Debian packages in a fresh Debian, five minutes of fuzzing, and clang-tidy beside them"
mapfile -t sources < <(git ls-files 'common/*.cc' 'services/*.cc' 'clients/*.cc')
nice python3 tests/lint.py build/release "${sources[@]}" >build/lint.log 2>&1 &
lint=$!
bash tests/system/package_test.sh build/release || [[ $? -eq 77 ]]
bash tests/fuzz/run.sh 300
wait "$lint" || { cat build/lint.log; exit 1; }
tail -n 1 build/lint.log
