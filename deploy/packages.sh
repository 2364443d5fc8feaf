#!/usr/bin/env bash
# Installs Debian packages that are not there yet: packages.sh build|test. `test` includes `build`.
set -euo pipefail

packages=(ca-certificates cmake g++ libabsl-dev libedit-dev libgrpc++-dev libicu-dev libjemalloc-dev libprotobuf-dev
  libspdlog-dev libssl-dev ninja-build pkg-config prometheus-cpp-dev protobuf-compiler
  protobuf-compiler-grpc zlib1g-dev)
if [[ ${1:-build} == test ]]; then
  packages+=(clang clang-format clang-tidy debootstrap dpkg-dev file jq libbenchmark-dev libclang-rt-14-dev
    libgmock-dev libgtest-dev libsentencepiece-dev lintian openssl prometheus python3-grpcio python3-protobuf python3-yaml
    shellcheck systemd-container)
fi

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
    missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

sudo=()
if [[ $EUID -ne 0 ]]; then sudo=(sudo); fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
