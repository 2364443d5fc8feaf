#!/usr/bin/env bash
# The containers as their users see them: builds the images, starts the services with docker-compose.yml, generates
# through the published port, scales, restarts a model in mid-use, and stops. Exit status 77, with the reason, where no
# container engine works. With `docker compose`, or podman with podman-compose. Needs python3-grpcio.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "SKIPPED: $*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }
pass() { echo "ok: $*"; }

export BUILDAH_FORMAT=docker  # Podman's own format has no health checks.
if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
  engine=docker compose=(docker compose)
elif podman-compose --version >/dev/null 2>&1 && podman info >/dev/null 2>&1; then
  engine=podman compose=(podman-compose)
else
  skip "neither docker compose nor podman-compose works here"
fi
echo "== with ${compose[*]}"

export COMPOSE_PROJECT_NAME=lnb-test
compose+=(-p "$COMPOSE_PROJECT_NAME")
read -r PORT PROMETHEUS_PORT < <(/usr/bin/python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in sockets))')
export PORT PROMETHEUS_PORT
scratch=$(mktemp -d)

# Quiet unless it fails: "run_quietly COMMAND…".
run_quietly() {
  "$@" >"$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "$*"; }
}
containers() { # Of a service, running or not.
  "$engine" ps -a --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1" --format '{{.Names}}'
}
inspect() { "$engine" inspect --format "$2" "$1"; }
stop_all() {
  local status=$?
  trap - EXIT
  if [[ $status -ne 0 ]]; then
    for service in tokenizer model gateway prometheus; do
      for name in $(containers "$service"); do
        echo "--- $name" >&2
        "$engine" logs --tail 20 "$name" >&2 || true
      done
    done
  fi
  "${compose[@]}" down -t 40 -v >/dev/null 2>&1 || true
  rm -rf "$scratch"
  exit "$status"
}
trap stop_all EXIT

healthy() {
  if [[ $engine == podman ]]; then podman healthcheck run "$1" >/dev/null 2>&1
  else [[ $(inspect "$1" '{{.State.Health.Status}}') == healthy ]]; fi
}
wait_for() { # SECONDS WHAT COMMAND…
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [[ $SECONDS -lt $end ]] || fail "$what: not within time"
    sleep 0.5
  done
}
call() { # METHOD REQUEST
  /usr/bin/python3 tests/system/reflection_client.py -plaintext -d "$2" "127.0.0.1:$PORT" "llama.v1.GatewayService/$1"
}
text_of() { /usr/bin/python3 -c '
import json, sys
text, events = sys.stdin.read().strip(), []
while text:
    event, end = json.JSONDecoder().raw_decode(text)
    events.append(event)
    text = text[end:].strip()
assert "finished" in events[-1], events[-1:]
print("".join(event.get("delta", {}).get("text", "") for event in events))'; }
# One value of a container's metrics: CONTAINER NAME LABELS.
metric() {
  local address
  address=$(inspect "$1" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
  /usr/bin/python3 -c '
import sys, urllib.request
text = urllib.request.urlopen(f"http://{sys.argv[1]}:9464/metrics", timeout=5).read().decode()
print(next((int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(sys.argv[2])), 0))' \
    "$address" "$2"
}
# Long enough to be under way when its model is restarted.
request='{"prompt":{"text":"Once upon a time"},"stopping":{"max_tokens":400,"ignore_eos":true}}'

echo "== Build"
run_quietly "${compose[@]}" build tokenizer
for service in model gateway console prometheus; do run_quietly "${compose[@]}" build "$service"; done
for service in tokenizer model gateway console prometheus; do
  bytes=$("$engine" image inspect --format '{{.Size}}' "llama-nuts-and-bolts/$service")
  echo "$service: $((bytes / 1000000)) MB"
  [[ $bytes -lt 150000000 ]] || fail "$service: an image of $bytes bytes"
  for shell in /bin/sh /bin/bash /bin/busybox; do
    ! "$engine" run --rm --entrypoint "$shell" "llama-nuts-and-bolts/$service" -c true 2>/dev/null ||
      fail "$service has $shell"
  done
done
pass "images are small and hold no shell"

echo "== What cannot start ends with one line"
# IMAGE TEXT ARGUMENT…
refuse() {
  local image=$1 text=$2 status=0
  shift 2
  "$engine" run --rm --no-healthcheck --network none "llama-nuts-and-bolts/$image" "$@" --log_level=off \
    >"$scratch/out" 2>&1 || status=$?
  [[ $status -eq 1 || $status -eq 2 ]] || { cat "$scratch/out"; fail "$image $*: exit status $status"; }
  [[ $(wc -l <"$scratch/out") -eq 1 ]] || { cat "$scratch/out"; fail "$image $*: not one line"; }
  grep -qF -- "$text" "$scratch/out" || { cat "$scratch/out"; fail "$image $*: expected $text"; }
}
refuse model nowhere/params.json --model_dir=/nowhere
refuse tokenizer nowhere/tokenizer.model --model_dir=/nowhere
refuse model --no_such_flag --no_such_flag
refuse gateway --no_such_flag --no_such_flag
refuse gateway "cannot listen on 0.0.0.0:50050" --listen=0.0.0.0:50050 --metrics_listen=127.0.0.1:50050
pass "missing folders, wrong flags and ports in use are named"

echo "== Start"
run_quietly "${compose[@]}" up -d gateway
gateway=$(containers gateway) model=$(containers model) tokenizer=$(containers tokenizer)
[[ -z $(containers console)$(containers prometheus) ]] || fail "more was started than the gateway needs"
for name in "$tokenizer" "$model" "$gateway"; do wait_for 120 "$name healthy" healthy "$name"; done
pass "all are healthy"

for name in "$tokenizer" "$model" "$gateway"; do
  pid=$(inspect "$name" '{{.State.Pid}}')
  [[ $(awk '/^Uid:/ {print $2 $3 $4 $5}' "/proc/$pid/status") == 65532655326553265532 ]] || fail "$name: its user"
  [[ $(awk '/^CapBnd:/ {print $2}' "/proc/$pid/status") == 0000000000000000 ]] || fail "$name: capabilities"
  [[ $(awk '/^NoNewPrivs:/ {print $2}' "/proc/$pid/status") == 1 ]] || fail "$name: may gain privileges"
  awk '$5 == "/" {print $6}' "/proc/$pid/mountinfo" | grep -E '^ro(,|$)' >/dev/null || fail "$name: its root can be written to"
  [[ $(inspect "$name" '{{.HostConfig.Memory}}') -gt 0 ]] || fail "$name: no limit of memory"
  [[ $(inspect "$name" '{{.HostConfig.PidsLimit}}') -gt 0 ]] || fail "$name: no limit of processes"
done
awk '$5 ~ "^/models/" {print $6}' "/proc/$(inspect "$model" '{{.State.Pid}}')/mountinfo" | grep -E '^ro(,|$)' >/dev/null ||
  fail "the model's files can be written to"
pass "they run as a user without capabilities, on a root that is read-only"

[[ -z $("$engine" port "$tokenizer")$("$engine" port "$model") ]] || fail "more is published than the gateway"
[[ $("$engine" port "$gateway") == "50050/tcp -> 127.0.0.1:$PORT" ]] || fail "the gateway's port: $("$engine" port "$gateway")"
pass "only the gateway is published, on loopback"

echo "== Generate"
whole=$(call Generate "$request" | text_of)
[[ ${#whole} -gt 20 ]] || fail "a reply of '$whole'"
pass "a streamed reply through the published port: ${whole:0:60}…"
call GetInfo "{}" | grep '"name": "demo_model"' >/dev/null || fail "the model's name"
status=0
printf '8\n\nhi\n\nq\n' >"$scratch/keys"
"${compose[@]}" run --rm -T console <"$scratch/keys" >"$scratch/out" 2>&1 || status=$?
[[ $status -eq 0 ]] || { cat "$scratch/out"; fail "the console: exit status $status"; }
grep -q 'What is the capital of Japan' "$scratch/out" || { cat "$scratch/out"; fail "the demo model's prompts are not in the menu"; }
pass "the console shows the demo model's prompts and answers"

echo "== Scale"
if [[ $engine == docker ]]; then run_quietly "${compose[@]}" up -d --scale model=2 gateway; fi
export MODEL_REPLICAS=2
run_quietly "${compose[@]}" up -d gateway
mapfile -t models < <(containers model)
[[ ${#models[@]} -eq 2 ]] || fail "replicas: ${models[*]}"
for name in "${models[@]}"; do wait_for 60 "$name healthy" healthy "$name"; done
gateway=$(containers gateway)
wait_for 60 "$gateway healthy" healthy "$gateway"
pass "two models are healthy"

echo "== Restart a model in mid-use"
# Ten callers one after the other, three at a time, who try again when the gateway says UNAVAILABLE.
caller() {
  local n
  for n in $(seq 10); do
    # With a salt of its own, each belongs to one of the models.
    until call Generate "${request%\}},\"cache_salt\":\"$1.$n\"}" >"$scratch/reply.$1" 2>"$scratch/error.$1"; do
      if ! grep -q '^ *Code: Unavailable' "$scratch/error.$1" || grep -q BACKEND_LOST "$scratch/error.$1"; then
        cat "$scratch/error.$1" >&2
        return 1
      fi
      sleep 0.2
    done
    [[ $(text_of <"$scratch/reply.$1") == "$whole" ]] || { echo "another reply" >&2; return 1; }
  done
}
callers=()
for i in 1 2 3; do caller "$i" & callers+=($!); done
sleep 1
run_quietly "$engine" restart -t 40 "$model"
for pid in "${callers[@]}"; do wait "$pid" || fail "a caller did not get its replies"; done
pass "30 replies, all the same, while a model was restarted"
"$engine" logs "$model" 2>&1 | grep 'info drained$' >/dev/null || fail "the model did not drain"
wait_for 60 "$model healthy" healthy "$model"
both_answer() {
  for i in {1..16}; do  # Each prompt has a model that it belongs to.
    call Generate '{"prompt":{"text":"'"$i"'"},"stopping":{"max_tokens":1}}' >/dev/null 2>&1 || true
  done
  for name in "${models[@]}"; do
    [[ $(metric "$name" 'lnb_rpc_requests_total{code="OK",method="llama.v1.ModelService/Generate"}') -gt 0 ]] || return 1
  done
}
wait_for 60 "calls for both models" both_answer
pass "both models get calls"

echo "== Observe"
if [[ $engine == docker ]]; then run_quietly "${compose[@]}" --profile observability up -d prometheus
else run_quietly "${compose[@]}" up -d prometheus; fi
targets_up() {
  [[ $(/usr/bin/python3 -c '
import json, sys, urllib.request
answer = json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/api/v1/query?query=up==1", timeout=5))
print(*sorted(sample["metric"]["job"] for sample in answer["data"]["result"]))' "$PROMETHEUS_PORT" 2>/dev/null) == \
    "lnb-gateway lnb-model lnb-model lnb-tokenizer" ]]
}
wait_for 60 "Prometheus and its four targets" targets_up
pass "Prometheus finds every replica"

echo "== Stop"
names=$(containers gateway; containers model; containers tokenizer)
start=$SECONDS
run_quietly "${compose[@]}" stop -t 40
[[ $((SECONDS - start)) -lt 30 ]] || fail "stopping took $((SECONDS - start)) s"
for name in $names; do
  [[ $(inspect "$name" '{{.State.ExitCode}}') -eq 0 ]] || fail "$name ended with $(inspect "$name" '{{.State.ExitCode}}')"
done
pass "all ended with 0"
run_quietly "${compose[@]}" down -v
[[ -z $(containers gateway)$(containers model)$(containers tokenizer) ]] || fail "containers are left"

echo "== A folder without a model"
mkdir "$scratch/empty" && chmod 755 "$scratch/empty"
MODEL_REPLICAS=1 MODEL_DIR=$scratch/empty "${compose[@]}" up -d gateway >/dev/null 2>&1 || true
for service in model tokenizer; do
  name=$(containers "$service")
  ended() { [[ $(inspect "$name" '{{.State.Running}}') == false ]]; }
  wait_for 30 "$name ended" ended
  sleep 2
  # Beside the warning that it listens beyond this machine.
  "$engine" logs "$name" 2>&1 | grep -v ' warning listening on ' >"$scratch/out"
  [[ $(inspect "$name" '{{.RestartCount}}') -eq 0 && $(wc -l <"$scratch/out") -eq 1 ]] ||
    { cat "$scratch/out"; fail "$name: not one line"; }
  grep -q "cannot open .*/empty/" "$scratch/out" || { cat "$scratch/out"; fail "$name: what it says"; }
done
pass "ends the model and the tokenizer with a line each, and nothing tries again"
run_quietly "${compose[@]}" down -v
echo "== All well, with ${compose[*]}"
