"""Random forests of paceline beside those of other libraries: same rows, same settings, same number of threads, one after the other in
turns, since machines are noisy. Prints a table for each set and writes all figures as JSON. Started by `run.sh`, which installs the peers.

It decides what is compared; how a run is done stands in `contestants.py`. Ratios are medians over the repeats of the ratio within one
repeat, so that a slow minute of the machine meets both.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from contestants import HERE, Set, Tools, run_paceline, run_peer, train, train_on_cluster
from figures import in_turns, middle, ratio

ALL_SETS = ["letter", "diamonds", "covtype", "higgs_syn"]
PEERS = ["scikit-learn", "sklearnex"]
N_THREADS = 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/forest/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(ALL_SETS), help=f"which tables, separated by commas (default {','.join(ALL_SETS)})")
    parser.add_argument("--trees", type=int, default=100, help="trees of each forest (default 100)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--more-peers", action="store_true", help="YDF and LightGBM's forest mode too")
    parser.add_argument("--no-scaling", action="store_true", help="leave out 1 against 2 cores and agents")
    parser.add_argument("--json", type=Path, help="where to write the figures (default results.json beside the peers)")
    parser.add_argument("--paceline", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--python", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    unknown = [name for name in arguments.sets if name not in ALL_SETS]
    if unknown or arguments.repeats < 1 or arguments.trees < 1:
        parser.error(f"--sets: {unknown[0]} is none of {', '.join(ALL_SETS)}" if unknown else "--repeats and --trees: must be at least 1")
    return arguments


def write_set(tools: Tools, work: Path, name: str) -> Path:
    directory = work / "sets" / name
    if not (directory / "facts.json").is_file():
        subprocess.run([tools.python, HERE / "data.py", "write", name, work / "packages", directory], check=True)
    return directory


def compare_with_peers(tools: Tools, table: Set, peers: list, n_repeats: int) -> dict:
    contestants = {"paceline": lambda: run_paceline(tools, table, N_THREADS)}
    contestants |= {peer: lambda peer=peer: run_peer(tools, peer, table, N_THREADS) for peer in peers}
    figures = in_turns(contestants, n_repeats)
    ours = figures["paceline"]
    facts = table.facts
    print(f"\n{table.name}: {facts['n_train']:,} rows × {facts['n_features']}, {facts['task']}, {table.n_trees} trees, "
          f"{facts['n_features_per_split']} features a split, {N_THREADS} threads")  # fmt: skip
    print(f"{'':14}{'fit s':>9}{'CPU s':>9}{'score':>9}{'predict rows/s':>16}{'CPU s':>9}{'peak MB':>9}")
    for name, runs in figures.items():
        print(f"{name:14}{middle(runs, 'fit_s'):9.2f}{middle(runs, 'fit_cpu_s'):9.2f}{middle(runs, 'score'):9.4f}"
              f"{middle(runs, 'predict_rows_per_s'):16,.0f}{middle(runs, 'predict_cpu_s'):9.2f}"
              f"{middle(runs, 'peak_mb'):9,.0f}")  # fmt: skip
    print(f"  paceline's stages alone: fit {middle(ours, 'stages_s'):.2f} s (trees {middle(ours, 'trees_stage_s'):.2f} s), "
          f"predict {middle(ours, 'predict_stage_rows_per_s'):,.0f} rows/s; "
          f"{middle(ours, 'peak_anonymous_mb'):,.0f} MB of its peak are no mapped files")  # fmt: skip
    ratios = {}
    for peer in peers:
        runs = figures[peer]
        ratios[peer] = {"fit": ratio(runs, ours, "fit_s"), "fit_cpu": ratio(runs, ours, "fit_cpu_s"),
                        "predict": ratio(ours, runs, "predict_rows_per_s"),
                        "predict_cpu": ratio(runs, ours, "predict_cpu_s"), "memory": ratio(ours, runs, "peak_mb"),
                        "score_difference": middle(ours, "score") - middle(runs, "score")}  # fmt: skip
        print(f"  against {peer}: fit {ratios[peer]['fit']:.2f} times as fast (CPU {ratios[peer]['fit_cpu']:.2f}), "
              f"predict {ratios[peer]['predict']:.2f} times (CPU {ratios[peer]['predict_cpu']:.2f}), "
              f"memory {ratios[peer]['memory']:.2f} of its, score {ratios[peer]['score_difference']:+.4f}")  # fmt: skip
    return {"facts": facts, "runs": figures, "ratios": ratios}


def compare_cores(tools: Tools, table: Set, n_repeats: int) -> dict:
    """1 against 2 cores, for the whole forest and for a single tree, which only nested parallelism can speed up."""
    print(f"\n{table.name}: 1 against 2 cores")
    found = {}
    for label, forest in ((f"{table.n_trees} trees", table), ("1 tree", dataclasses.replace(table, n_trees=1))):
        runs = in_turns({n_cores: lambda n_cores=n_cores: train(tools, forest, n_cores) for n_cores in (1, 2)}, n_repeats)
        same = len({run["hash"] for n_cores in runs for run in runs[n_cores]}) == 1
        found[label] = {"runs": runs, "same_bytes": same, "whole": ratio(runs[1], runs[2], "fit_s"),
                        "trees_stage": ratio(runs[1], runs[2], "trees_stage_s")}  # fmt: skip
        print(f"  {label:>10}: {middle(runs[1], 'fit_s'):.2f} s and {middle(runs[2], 'fit_s'):.2f} s, "
              f"{found[label]['whole']:.2f} times as fast (growing trees alone {found[label]['trees_stage']:.2f}); "
              f"{'the same bytes' if same else 'DIFFERENT BYTES'}")  # fmt: skip
    return found


def compare_agents(tools: Tools, table: Set, n_repeats: int) -> dict:
    """The same two cores as one agent and as two."""

    def run(name: str, agents: list) -> dict:
        with tempfile.TemporaryDirectory(prefix=f"forest-{name}-") as directory:
            return train_on_cluster(tools, table, Path(directory), agents)

    runs = in_turns({"one-agent": lambda: run("one-agent", [2]), "two-agents": lambda: run("two-agents", [1, 1])}, n_repeats)
    one, two = runs["one-agent"], runs["two-agents"]
    same = len({run["hash"] for run in one + two}) == 1
    print(f"\n{table.name}: one agent with 2 cores {middle(one, 'fit_s'):.2f} s, two agents with 1 core {middle(two, 'fit_s'):.2f} s, "
          f"{ratio(two, one, 'fit_s'):.3f} of it; {'the same bytes' if same else 'DIFFERENT BYTES'}")  # fmt: skip
    return {"runs": runs, "same_bytes": same, "two_over_one": ratio(two, one, "fit_s")}


def main() -> None:
    arguments = parse_arguments()
    peers = PEERS + (["ydf", "lightgbm"] if arguments.more_peers else [])
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.work))
    tools = Tools(arguments.paceline, arguments.python, scratch)
    report = {"machine": {"cores": os.cpu_count(), "load_at_start": os.getloadavg()[0]}, "sets": {}}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run; medians of {arguments.repeats}")
    try:
        tables = [Set(name, write_set(tools, arguments.work, name), arguments.trees, seed=1) for name in arguments.sets]
        for table in tables:
            report["sets"][table.name] = compare_with_peers(tools, table, peers, arguments.repeats)
        if not arguments.no_scaling:
            largest = max(tables, key=lambda table: table.facts["n_train"])
            report["cores"] = compare_cores(tools, largest, arguments.repeats)
            report["agents"] = compare_agents(tools, largest, arguments.repeats)
    finally:
        shutil.rmtree(scratch)
    path = arguments.json or arguments.work / "results.json"
    path.write_text(json.dumps(report, indent=1))
    print(f"\nall figures: {path}")


if __name__ == "__main__":
    main()
