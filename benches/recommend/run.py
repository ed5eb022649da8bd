"""Recommenders of paceline beside those of other libraries: same models, tables, settings and number of threads, in turns, since machines
are noisy. Prints a table for each question and writes all figures as JSON. Started by `run.sh`, which installs the peers.

It decides what is compared; how a run is done stands in `contestants.py`. Ratios are medians over the repeats of the ratio within one
repeat, so that a slow minute of the machine meets both.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from contestants import HERE, Tools, first_range_of_a_cold_agent, measure_lists, peer, recommend, run, train_als
from data import SHAPES
from figures import in_turns, middle, ratio

REPOSITORY = Path(__file__).resolve().parents[2]
N_THREADS = 2
N_LISTED = 100
# A shape, its factors, and how many of its users are scored; all without a number.
SCORED = {"ml20m-64": ("ml20m", 64, None), "ml20m-128": ("ml20m", 128, None), "shop-64": ("shop", 64, 20_000)}
PARTS = ["score", "als", "lists", "cold", "chain"]
ALS = {"regularization": 0.05, "alpha": 2.0}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/recommend/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure, separated by commas (default {','.join(PARTS)})")
    parser.add_argument("--models", default=",".join(SCORED), help=f"models to score with (default {','.join(SCORED)})")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--json", type=Path, help="where to write the figures (default results.json beside the peers)")
    parser.add_argument("--paceline", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--python", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for given, known in (("parts", PARTS), ("models", SCORED)):
        names = getattr(arguments, given).split(",")
        setattr(arguments, given, names)
        unknown = [name for name in names if name not in known]
        if unknown:
            parser.error(f"--{given}: {unknown[0]} is none of {', '.join(known)}")
    return arguments


def made(tools: Tools, work: Path, name: str, kind: str, *arguments: object) -> Path:
    """A file of the benchmark, made when it is first wanted; it may not be there afterwards where this machine cannot make it."""
    path = work / "data" / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f"partial-{name}")
        subprocess.run([tools.python, HERE / "data.py", kind, partial, *map(str, arguments)], check=True)
        if partial.exists():
            partial.rename(path)
    return path


def compare_scoring(tools: Tools, work: Path, name: str, n_repeats: int) -> dict:
    shape, n_factors, n_sampled = SCORED[name]
    n_users, n_items = SHAPES[shape]
    model = made(tools, work, f"{name}.safetensors", "model", shape, n_factors)
    users = n_sampled and made(tools, work, f"{shape}-users.parquet", "users", shape, n_sampled)
    n_scored = n_sampled or n_users
    sample = [] if users is None else [users]
    figures = in_turns({
        "sgemm": lambda: peer(tools, "sgemm"),
        "paceline": lambda: recommend(tools, model, N_LISTED, N_THREADS, users),
        "numpy": lambda: peer(tools, "score", "numpy", model, N_LISTED, *sample),
        "implicit": lambda: peer(tools, "score", "implicit", model, N_LISTED, *sample),
    }, n_repeats)  # fmt: skip
    ours, sgemm = figures["paceline"], figures["sgemm"]
    gflop = 2e-9 * n_scored * n_items * n_factors
    print(f"\n{name}: {n_scored:,} of {n_users:,} users × {n_items:,} items × {n_factors} factors, top {N_LISTED}, without seen items; "
          f"sgemm {middle(sgemm, 'gflops'):.0f} GFLOP/s")  # fmt: skip
    print(f"{'':12}{'score s':>9}{'users/s':>10}{'GFLOP/s':>9}{'of sgemm':>9}{'whole s':>9}{'CPU s':>8}{'peak MB':>9}")
    report = {"runs": figures, "share_of_sgemm": {}, "times_as_fast": {}}
    for contestant in ("paceline", "numpy", "implicit"):
        runs = figures[contestant]
        shares = [{"share": gflop / run["score_s"] / limit["gflops"]} for run, limit in zip(runs, sgemm, strict=True)]
        report["share_of_sgemm"][contestant] = middle(shares, "share")
        print(f"{contestant:12}{middle(runs, 'score_s'):9.2f}{n_scored / middle(runs, 'score_s'):10,.0f}{gflop / middle(runs, 'score_s'):9.1f}"
              f"{middle(shares, 'share'):9.0%}{middle(runs, 'wall_s'):9.2f}{middle(runs, 'cpu_s'):8.2f}{middle(runs, 'peak_mb'):9,.0f}")  # fmt: skip
    whole = [{"score_s": run["wall_s"]} for run in ours]
    for contestant in ("numpy", "implicit"):
        runs = figures[contestant]
        report["times_as_fast"][contestant] = {"score": ratio(runs, ours, "score_s"), "whole": ratio(runs, whole, "score_s")}
        print(f"  against {contestant}: scoring {ratio(runs, ours, 'score_s'):.2f} times as fast; the whole command, with start, check, files and "
              f"writing, {ratio(runs, whole, 'score_s'):.2f} times as fast as its scoring alone")  # fmt: skip
    return report


def als_tables(tools: Tools, work: Path) -> dict:
    """Name by name: the table, and how many iterations show an iteration's time."""
    tables = {"ml20m": (made(tools, work, "ml20m.parquet", "interactions", "ml20m"), 3)}
    debian = made(tools, work, "debian.parquet", "debian", REPOSITORY)
    if debian.exists():
        tables["debian"] = (debian, 10)
    tables["ml100k"] = (movielens(tools, work), 10)
    return tables


def movielens(tools: Tools, work: Path) -> Path:
    return made(tools, work, "ml100k.parquet", "movielens", work / "packages")


def compare_als(tools: Tools, work: Path, n_repeats: int) -> dict:
    report = {}
    print(f"\nals train, implicit feedback, seconds an iteration, {N_THREADS} threads")
    print(f"{'':24}{'paceline':>10}{'implicit':>10}{'times as fast':>15}")
    for table, (path, n_iterations) in als_tables(tools, work).items():
        for n_factors in (64, 128):
            settings = ALS | {"factors": n_factors, "iterations": n_iterations}
            model = tools.scratch / "als.model"
            figures = in_turns({
                "paceline": lambda: train_als(tools, path, settings, N_THREADS, model),
                "implicit": lambda: peer(tools, "als", path, n_factors, n_iterations, ALS["regularization"], ALS["alpha"], 1),
            }, n_repeats)  # fmt: skip
            ours, theirs = figures["paceline"], figures["implicit"]
            report[f"{table}-{n_factors}"] = {"runs": figures, "times_as_fast": ratio(theirs, ours, "iteration_s")}
            print(f"{table + f', {n_factors} factors':24}{middle(ours, 'iteration_s'):10.4f}{middle(theirs, 'iteration_s'):10.4f}"
                  f"{ratio(theirs, ours, 'iteration_s'):15.2f}")  # fmt: skip
    return report


def compare_lists(tools: Tools, work: Path) -> dict:
    """How good lists are on a held-out part of real tables: the same split, settings and metric, several seeds of both."""
    report, scratch = {}, tools.scratch
    print("\nndcg@10 of lists for held-out interactions (a fifth of each user's), 32 factors, 15 iterations")
    for table, (path, _) in als_tables(tools, work).items():
        if table not in ("debian", "ml100k"):
            continue
        train, test, lists, model = (scratch / name for name in ("train.parquet", "test.parquet", "lists.parquet", "model"))
        run(tools, N_THREADS, "split", "--data", path, "--method", "fraction", "--fraction", 0.2, "--out-train", train, "--out-test", test,
            "--force")  # fmt: skip
        found = {"paceline": [], "implicit": []}
        for seed in range(1, 6):
            settings = ["--factors", 32, "--iterations", 15, *(part for name, value in ALS.items() for part in (f"--{name}", value))]
            run(tools, N_THREADS, "--seed", seed, "als", "train", "--data", train, *settings, "--out", model, "--force")
            run(tools, N_THREADS, "recommend", "--model", model, "--top", 10, "--out", lists, "--force")
            found["paceline"].append(measure_lists(tools, lists, test))
            peer(tools, "als", train, 32, 15, ALS["regularization"], ALS["alpha"], seed, lists)
            found["implicit"].append(measure_lists(tools, lists, test))
        ours, theirs = (sum(values) / len(values) for values in found.values())
        report[table] = found | {"ratio": ours / theirs}
        spread = max(found["implicit"]) - min(found["implicit"])
        print(f"  {table}: paceline {ours:.4f}, implicit {theirs:.4f} (spread over 5 seeds {spread:.4f}), ratio {ours / theirs:.4f}")
    return report


def measure_cold_agent(tools: Tools, work: Path, n_repeats: int) -> dict:
    """4 GiB of users, read before, so that the page cache has them."""
    model = made(tools, work, "cold.safetensors", "large", 16 << 20, 2000, 64)
    with model.open("rb") as file:
        while file.read(64 << 20):
            pass
    runs = [first_range_of_a_cold_agent(tools, model, tools.scratch / f"cold-{repeat}") for repeat in range(n_repeats)]
    print(f"\ncold agent, model of {model.stat().st_size / 2**30:.1f} GiB in the page cache: its first range is committed after "
          f"{middle(runs, 'check_s'):.2f} s, the first lists, for which all values are checked before, after {middle(runs, 'score_s'):.2f} s")  # fmt: skip
    return {"runs": runs}


def measure_chain(tools: Tools, work: Path) -> dict:
    """From a table to a figure: split, train, recommend, evaluate."""
    report = {}
    print("\nfrom a table to its ndcg: seconds of each command, with the start of its process")
    for table, path in (("debian-needs", REPOSITORY / "data" / "debian-needs.parquet"), ("ml100k", movielens(tools, work))):
        train, test, lists, model = (tools.scratch / name for name in ("train.parquet", "test.parquet", "lists.parquet", "model"))
        commands = {
            "split": ["--data", path, "--method", "leave-n-out", "--n", 2, "--seed", 7, "--out-train", train, "--out-test", test],
            "als": ["train", "--data", train, "--out", model],
            "recommend": ["--model", model, "--users", test, "--top", 20, "--out", lists],
            "evaluate": ["--lists", lists, "--truth", test, "--catalog", train, "--at", "5,10,20", "--out", tools.scratch / "users.parquet"],
        }
        report[table] = {name: run(tools, N_THREADS, name, *flags, "--force")[0]["wall_s"] for name, flags in commands.items()}
        ndcg = measure_lists(tools, lists, test)
        report[table]["ndcg@10"] = ndcg
        seconds = [report[table][name] for name in commands]
        print(f"  {table}: {', '.join(f'{name} {s:.2f}' for name, s in zip(commands, seconds, strict=True))}; together {sum(seconds):.2f} s, "
              f"ndcg@10 {ndcg:.4f}")  # fmt: skip
    return report


def main() -> None:
    arguments = parse_arguments()
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.work))
    tools, work = Tools(arguments.paceline, arguments.python, scratch), arguments.work
    report = {"machine": {"cores": os.cpu_count(), "load_at_start": os.getloadavg()[0]}}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run; medians of {arguments.repeats}")
    measured = {
        "score": lambda: {name: compare_scoring(tools, work, name, arguments.repeats) for name in arguments.models},
        "als": lambda: compare_als(tools, work, arguments.repeats),
        "lists": lambda: compare_lists(tools, work),
        "cold": lambda: measure_cold_agent(tools, work, arguments.repeats),
        "chain": lambda: measure_chain(tools, work),
    }
    try:
        for part in arguments.parts:
            report[part] = measured[part]()
    finally:
        shutil.rmtree(scratch)
    path = arguments.json or work / "results.json"
    path.write_text(json.dumps(report, indent=1))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
