#!/usr/bin/env bash
# package_test.sh BUILD: makes the Debian packages of a build, installs them with apt in a fresh minimal Debian, runs the
# services there as their units would, talks to them through the installed console, and looks for what removal leaves.
# Exit status 77, with the reason, where that cannot be done.
set -euo pipefail

skip() { echo "skipped: $*" >&2; exit 77; }
say() { printf '== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

build=$(realpath "${1:?package_test.sh BUILD}")
[[ $EUID -eq 0 ]] || skip "needs root for chroot"
for tool in debootstrap cpack dpkg-shlibdeps; do
  command -v "$tool" >/dev/null || skip "there is no $tool (deploy/packages.sh test installs it)"
done
unshare --mount --net --pid --fork true 2>/dev/null || skip "namespaces are not allowed here"

work=$(mktemp -d)
root=$work/root
cleanup() {
  if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
  rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/packages"
quiet=(-y -qq -o Dpkg::Use-Pty=0)
inside() { DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot "$root" "$@"; }

say "Packages"
cmake --build "$build" --target lnb-tokenizer lnb-model lnb-gateway lnb-console lnb-probe lnb-load lnb-bench
cpack --config "$build/CPackConfig.cmake" -B "$work/packages" >"$work/cpack.log" || { cat "$work/cpack.log"; exit 1; }
packages=("$work"/packages/lnb-server_*.deb "$work"/packages/lnb-console_*.deb)
for package in "${packages[@]}"; do
  dpkg-deb --field "$package" Package Version Depends Installed-Size
done
if command -v lintian >/dev/null; then
  # The project has no mail address; --help stands for manual pages.
  lintian --fail-on error,warning --allow-root "${packages[@]}" \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,no-manual-page
fi

say "A fresh Debian, from where this machine has its own"
# shellcheck disable=SC2016  # The $(…) are apt's.
apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
  awk '$1 == "Debian" {print "deb", $2, $3, $4}' | sort -u >"$work/sources"
[[ -s $work/sources ]] || skip "apt-get has no list of Debian packages: apt-get update"
read -r _ mirror suite _ < <(awk '$3 !~ /-/' "$work/sources")
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$work/debootstrap.log" ||
  { tail "$work/debootstrap.log"; skip "debootstrap failed"; }
cp "$work/sources" "$root/etc/apt/sources.list"
cp "${packages[@]}" "$root/root/"
mount -t proc proc "$root/proc"
inside apt-get update -qq || skip "apt-get finds no mirror in the new Debian"
install_packages() {
  inside sh -c "apt-get install ${quiet[*]} --no-install-recommends /root/lnb-server_*.deb /root/lnb-console_*.deb" >/dev/null
}
# All files but those of apt, dpkg, logs and timers, which change by being used.
snapshot() {
  inside find / -xdev -regextype egrep -regex '/(proc|run|root|var/cache|var/log|var/lib/(apt|dpkg|systemd/timers))' -prune \
    -o -print | sort
}

say "Installation"
# What the packages depend on comes first, so that what is left in the end is theirs.
inside apt-get install "${quiet[@]}" --no-install-recommends systemd-sysv >/dev/null || skip "the mirror does not answer"
for package in "${packages[@]}"; do
  inside apt-get satisfy "${quiet[@]}" --no-install-recommends "$(dpkg-deb --field "$package" Depends)" >/dev/null
done
snapshot >"$work/before"
cp "$root/etc/passwd" "$work/passwd"
install_packages
inside getent passwd lnb
for program in tokenizer model gateway probe load bench console; do
  inside "lnb-$program" --version
done

say "Units"
for service in tokenizer model gateway; do
  unit=/usr/lib/systemd/system/lnb-$service.service
  inside systemd-analyze verify "$unit"
  inside systemd-analyze security --offline=yes --threshold=20 "$unit" | tail -n 1
  [[ -L $root/etc/systemd/system/multi-user.target.wants/lnb-$service.service ]] || fail "$unit is not enabled"
done

# What is asked of the running services, in either way of starting them.
cat >"$root/root/ask" <<'ASK'
for _ in $(seq 100); do
  if lnb-probe --service=llama.v1.GatewayService 2>/dev/null; then break; fi
  sleep 0.2
done
lnb-probe --service=llama.v1.GatewayService
reply=$(lnb-console --completion="Once upon a time" --max_tokens=8)
echo "the reply:$reply"
[[ $reply == *"there was"* ]]
ASK

say "The commands of the units, as user lnb"
cat >"$root/root/run" <<'RUN'
set -euo pipefail
mount -t proc proc /proc
pids=()
for service in tokenizer model gateway; do
  unit=/usr/lib/systemd/system/lnb-$service.service
  read -ra command < <(sed -n 's/^ExecStart=//p' "$unit")
  setpriv --reuid="$(sed -n 's/^User=//p' "$unit")" --regid="$(sed -n 's/^Group=//p' "$unit")" --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all "${command[@]}" --log_level=warning &
  pids+=($!)
done
source /root/ask
kill -TERM "${pids[@]}"
for pid in "${pids[@]}"; do wait "$pid"; done
RUN
unshare --mount --net --pid --fork sh -c "ip link set lo up && exec chroot '$root' bash /root/run"

if command -v systemd-nspawn >/dev/null; then
  say "The units, under a systemd of their own"
  cat >"$root/root/run" <<'RUN'
set -euo pipefail
source /root/ask
for service in tokenizer model gateway; do
  unit=lnb-$service
  status=/proc/$(systemctl show -p MainPID --value $unit)/status
  grep -q "^Uid:.$(id -u lnb)" "$status"
  grep -Eq '^CapBnd:\s0+$' "$status"
  grep -Eq '^Seccomp:\s2$' "$status"
  systemctl stop $unit
  [[ $(systemctl show -p Result,ExecMainStatus,NRestarts $unit | sort | xargs) == \
    "ExecMainStatus=0 NRestarts=0 Result=success" ]]
done
# What cannot start says why, and is not started for ever: a wrong flag once, a missing model a few times.
fails() { # SERVICE FLAG RESTARTS WORDS
  echo "$2" >>"/etc/lnb/$1.flags"
  systemctl start "lnb-$1"
  for _ in $(seq 60); do
    if [[ $(systemctl show -p ActiveState --value "lnb-$1") == failed ]]; then break; fi
    sleep 0.5
  done
  [[ $(systemctl show -p ActiveState,NRestarts "lnb-$1" | sort | xargs) =~ ^ActiveState=failed\ NRestarts=$3$ ]]
  journalctl --no-pager -u "lnb-$1" | grep -m 1 "lnb-$1: $4"
  sed -i '$d' "/etc/lnb/$1.flags"
}
fails gateway --nonsense=1 0 "unknown flag --nonsense"
fails tokenizer --model_dir=/nowhere "[2-5]" "cannot open /nowhere/tokenizer.model"
touch /root/passed
RUN
  cat >"$root/etc/systemd/system/ask.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=bash /root/run
StandardOutput=file:/root/log
StandardError=file:/root/log
UNIT
  ln -s ../ask.service "$root/etc/systemd/system/multi-user.target.wants/ask.service"
  umount "$root/proc"
  timeout 180 systemd-nspawn --directory="$root" --boot --register=no --keep-unit --private-network \
    </dev/null >"$work/boot.log" 2>&1 || true
  mount -t proc proc "$root/proc"
  if [[ -e $root/root/log ]]; then cat "$root/root/log"; else tail "$work/boot.log"; fi
  [[ -e $root/root/passed ]] || fail "the units did not do what they should"
  rm "$root/etc/systemd/system/ask.service" "$root/etc/systemd/system/multi-user.target.wants/ask.service"
fi

say "A change in /etc survives a new installation"
echo "--max_running=4" >>"$root/etc/lnb/model.flags"
inside sh -c "apt-get install ${quiet[*]} --reinstall /root/lnb-server_*.deb" >/dev/null
grep -q max_running=4 "$root/etc/lnb/model.flags" || fail "/etc/lnb/model.flags was overwritten"

say "Removal"
inside apt-get remove "${quiet[@]}" lnb-server lnb-console >/dev/null
[[ -e $root/etc/lnb/model.flags ]] || fail "removal took the configuration along"
[[ ! -e $root/usr/bin/lnb-model ]] || fail "removal left lnb-model"
inside apt-get purge "${quiet[@]}" lnb-server lnb-console >/dev/null
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "purging left files (>) or took others along (<)"
diff "$work/passwd" "$root/etc/passwd" || fail "purging left the user"
say "Passed"
