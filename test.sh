#!/usr/bin/env bash
# Installs what the tests need on Debian 12 with Rust, then runs everything that must be green. Nothing outside this checkout is changed
# but by the package manager; Python packages go to target/test-python, cargo-deny to target/tools.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

step() { printf '\n== %s\n' "$*"; }

install_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(build-essential)
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
    if [ "$(uname -m)" = x86_64 ] && command -v rustup >/dev/null; then
        command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
        command -v aarch64-linux-gnu-gcc >/dev/null || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    fi
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_python() {
    local venv=$PWD/target/test-python lists=(tests/parity/requirements.txt tests/parity/requirements_lenskit.txt)
    if ! cat "${lists[@]}" | cmp -s - "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "${lists[0]}"
        # Not what LensKit asks for beside these: its list says why.
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "${lists[1]}"
        cat "${lists[@]}" >"$venv/installed.txt"
    fi
    export PACELINE_TEST_PYTHON=$venv/bin/python
}

# The check of licences and sources needs cargo-deny; built without optimisation, which takes a minute instead of five.
install_cargo_deny() {
    [ -x target/tools/bin/cargo-deny ] || cargo install cargo-deny --version 0.20.2 --locked --debug --quiet --root target/tools
}

# An emulated ARM processor for the kernels that are written for one. Needs rustup, which alone can add a target to a compiler.
has_arm_target() { command -v rustup >/dev/null && rustup --quiet target add aarch64-unknown-linux-gnu; }

test_arm_kernels() {
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
    cargo clippy --target aarch64-unknown-linux-gnu --release --locked -p paceline-kernels --lib -- -D warnings
    cargo test --target aarch64-unknown-linux-gnu --release --locked -p paceline-kernels --lib
}

step "packages that the tests need"
install_packages
mkdir -p target
install_python
install_cargo_deny

step "format, lints, documentation, licences"
cargo fmt --all -- --check
cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
target/tools/bin/cargo-deny --log-level error check licenses bans sources

step "tests"
cargo build --release --workspace --locked
cargo test --release --workspace --locked

step "kernels on an ARM processor"
if [ "$(uname -m)" = x86_64 ] && has_arm_target; then
    test_arm_kernels
else
    echo "SKIPPED: kernels on an emulated ARM processor need an x86-64 machine and rustup"
fi
