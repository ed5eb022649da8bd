#!/usr/bin/env bash
# The main job on this machine alone: builds paceline, trains a forest on a real table and predicts with it; learns from
# another what real users need, recommends, and measures how well.
# Everything it makes stands in target/demo.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v cc >/dev/null; then
    echo "a C compiler is needed for three of the libraries; installing Debian's build-essential"
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends build-essential
fi
cargo build --release --locked

out=target/demo
mkdir -p "$out"
show() { printf '\n$ paceline %s\n' "$*"; target/release/paceline "$@"; }

show run forest train --data data/flights.parquet --target outcome --trees 50 --min-samples-leaf 5 --oob --out "$out/flights.forest" --force
show model show "$out/flights.forest"
show run forest predict --model "$out/flights.forest" --data data/flights.parquet --proba --out "$out/predictions.parquet" --force

needs=data/debian-needs.parquet
show run split --data "$needs" --method leave-n-out --n 2 --seed 7 --out-train "$out/train.parquet" --out-test "$out/test.parquet" --force
show run als train --data "$out/train.parquet" --factors 32 --alpha 10 --out "$out/needs.model" --force
show run recommend --model "$out/needs.model" --users "$out/test.parquet" --top 10 --out "$out/needs.csv" --force
show run evaluate --lists "$out/needs.csv" --truth "$out/test.parquet" --catalog "$out/train.parquet" --at 10 --out "$out/users.parquet" --force
printf '\nWhat else do packages like r-cran-tidyverse need? (%s)\n' "$out/needs.csv"
grep -m 5 '^r-cran-tidyverse,' "$out/needs.csv"
