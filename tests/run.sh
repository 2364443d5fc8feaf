#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

section() { printf '\n== %s\n' "$*"; }

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

section "Debian packages, in a fresh Debian"
bash tests/system/package_test.sh build/release || [[ $? -eq 77 ]]

section "All that reads files and input, with AddressSanitizer and UndefinedBehaviorSanitizer"
cmake --preset asan
cmake --build --preset asan --target tests_without_grpc
ctest --preset asan -LE grpc -j 2

section "What threads share, with ThreadSanitizer"
cmake --preset tsan
cmake --build --preset tsan --target common_mutex_test common_rpc_outbox_test \
  common_rpc_serving_gate_test services_model_threads_thread_team_test
ctest --preset tsan -R '^(common/mutex|common/rpc/outbox|common/rpc/serving_gate|services/model/threads/thread_team)$'

section "Containers, where there is an engine"
bash tests/system/compose_test.sh || [[ $? -eq 77 ]]

section "Fuzzing for five minutes"
nice bash tests/fuzz/run.sh 300
