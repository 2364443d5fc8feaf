#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after the other: run.sh SECONDS [TARGET ...]. The time is
# split evenly. Seeds and dictionaries are made anew; what a run finds interesting stays in
# build/asan/corpus, and an input that breaks a target in build/asan/findings, whose path is the last
# line of the output.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [[ $# -eq 0 || ! $1 =~ ^[0-9]+$ ]]; then
  echo "usage: tests/fuzz/run.sh SECONDS [TARGET ...]" >&2
  exit 2
fi
seconds=$1
shift
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" _fuzz.cc)"); done
fi

cmake --preset asan >/dev/null
cmake --build --preset asan --target fuzz_targets
folder=build/asan
rm -rf "$folder/seeds"
python3 tests/fuzz/make_seeds.py "$folder/seeds"
mkdir -p "$folder/findings"

each=$((seconds / ${#targets[@]} > 0 ? seconds / ${#targets[@]} : 1))
# An input: at most 10 s and 1 GB, sanitizers' share included.
for target in "${targets[@]}"; do
  folders=("$folder/corpus/$target" "$folder/seeds/$target")
  mkdir -p "${folders[0]}"
  if [[ -d tests/fuzz/regressions/$target ]]; then folders+=("tests/fuzz/regressions/$target"); fi
  printf '%-14s ' "$target"
  log=$folder/findings/$target.log
  if ! "$folder/fuzz/${target}_fuzz" -max_total_time="$each" -timeout=10 -rss_limit_mb=1024 \
    -dict="$folder/seeds/$target.dict" -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$folder/findings/$target-" "${folders[@]}" >"$log" 2>&1; then
    tail -n 40 "$log"
    grep -o 'Test unit written to .*' "$log"
    exit 1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  echo "$runs runs in $each s, ${coverage:-no coverage}"
done
