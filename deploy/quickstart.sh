#!/usr/bin/env bash
# Installs, builds, starts the three services and opens the console. See --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
deploy/quickstart.sh [--model-dir DIR] [--prompt TEXT | --completion TEXT] [--port PORT]

On a Debian 12: installs the packages that are missing, builds, starts the tokenizer, the model and
the gateway on loopback ports, and opens the console. Stops what it started when the console ends.

  --model-dir DIR    A Llama 2 folder as Meta ships it: params.json, consolidated.00.pth (and .01 …),
                     tokenizer.model. Default: deploy/demo_model, a small model that was trained for
                     this project: it chats about a few things, and tells stories.
  --prompt TEXT      Answer once, on standard output, and exit: a chat's first message.
  --completion TEXT  The same, with a text that the model goes on with.
  --port PORT        The gateway's port; the tokenizer's and the model's are the two above it.
                     Default: 50050.
TEXT
}

top=$(cd "$(dirname "$0")/.." && pwd)
demo_model=$top/deploy/demo_model
model_dir=$demo_model
once=()
port=50050
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --model-dir=* | --prompt=* | --completion=* | --port=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --model-dir) model_dir=$(realpath -- "${2:?--model-dir needs a folder}"); shift 2 ;;
    --prompt | --completion) once=("$1=${2:?$1 needs a text}"); shift 2 ;;
    --port) port=${2:?--port needs a number}; shift 2 ;;
    *) echo "quickstart.sh: unknown argument $1 (see --help)" >&2; exit 2 ;;
  esac
done

say() { echo "== $*" >&2; }

cd "$top"
"$top/deploy/packages.sh" build >&2
say "Building (minutes the first time, seconds after that)"
[[ -f build/release/build.ninja ]] || cmake --preset release -DBUILD_TESTING=OFF >/dev/null
programs=(lnb-tokenizer lnb-model lnb-gateway lnb-console lnb-probe)
cmake --build --preset release --target "${programs[@]}" >&2

bin=$top/build/release/bin
logs=$(mktemp -d)
pids=()
stop() {
  local status=$?
  trap - EXIT
  [[ ${#pids[@]} -eq 0 ]] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  if [[ $status -eq 0 ]]; then rm -rf "$logs"; else say "The services' logs are in $logs"; fi
  exit "$status"
}
trap stop EXIT
trap 'exit 143' TERM

# start PROGRAM PORT FLAG...
start() {
  local program=$1 listen=127.0.0.1:$2
  shift 2
  "$bin/$program" --listen="$listen" "$@" 2>"$logs/$program.log" &
  pids+=($!)
}
say "Starting the tokenizer, the model and the gateway on ports $port to $((port + 2))"
# The services must not hear the Ctrl-C that is meant for the console: each in a group of its own.
set -m
start lnb-gateway "$port" --tokenizer="127.0.0.1:$((port + 1))" --model="127.0.0.1:$((port + 2))"
start lnb-tokenizer "$((port + 1))" --model_dir="$model_dir"
start lnb-model "$((port + 2))" --model_dir="$model_dir"
set +m

ready() { "$bin/lnb-probe" --address="127.0.0.1:$port" --service=llama.v1.GatewayService 2>/dev/null; }
until ready; do
  for pid in "${pids[@]}"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 3 "$logs"/*.log >&2
      say "A service did not start"
      exit 1
    fi
  done
  sleep 0.2
done

if [[ ${#once[@]} -gt 0 ]]; then
  "$bin/lnb-console" --gateway="127.0.0.1:$port" "${once[@]}"
else
  # The menu shows these prompts only while their model is served.
  "$bin/lnb-console" --gateway="127.0.0.1:$port" --prompts="$demo_model/prompts"
fi
