"""What runs: paceline by its command line, and the peers by `peers.py`. Each run is a process of its own and gives one flat dictionary of
figures. What is compared with what is not decided here."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import pandas as pd
from daemons import Cluster
from figures import stage_seconds

HERE = Path(__file__).parent


@dataclass
class Tools:
    """The programs, and a directory that goes when all is measured."""

    paceline: Path
    python: Path
    scratch: Path


def peer(tools: Tools, *arguments: object) -> dict:
    measured = measure.run([tools.python, HERE / "peers.py", *arguments])
    # Libraries may print before: the figures are the last line.
    return json.loads(measured.stdout.splitlines()[-1]) | {"wall_s": measured.wall_s, "cpu_s": measured.cpu_s, "peak_mb": measured.peak_mb}


def run(tools: Tools, n_cores: int, *job: object) -> tuple[dict, dict]:
    """The clock of the whole command and those of its stages; beside them all that the job says."""
    measured = measure.run([tools.paceline, "run", "--cores", n_cores, "--output", "json", *job])
    shown = json.loads(measured.stdout)
    figures = {"wall_s": measured.wall_s, "cpu_s": measured.cpu_s, "peak_mb": measured.peak_mb, "stages": stage_seconds(shown)}
    return figures, shown


def recommend(tools: Tools, model: Path, n_listed: int, n_cores: int, users: Path | None) -> dict:
    lists = tools.scratch / "lists"
    chosen = [] if users is None else ["--users", users]
    figures, _ = run(tools, n_cores, "recommend", "--model", model, "--top", n_listed, *chosen, "--out", lists, "--force")
    return figures | {"score_s": figures["stages"]["score"]}


def train_als(tools: Tools, train: Path, settings: dict, n_cores: int, model: Path) -> dict:
    """Seconds of an iteration are those of its two stages, of users and of items."""
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    figures, _ = run(tools, n_cores, "--seed", 1, "als", "train", "--data", train, *flags, "--out", model, "--force")
    iterations = range(1, settings["iterations"] + 1)
    of_iteration = sorted(figures["stages"][f"users {i}"] + figures["stages"][f"items {i}"] for i in iterations)
    return figures | {"iteration_s": of_iteration[len(of_iteration) // 2]}


def measure_lists(tools: Tools, lists: Path, truth: Path) -> float:
    """ndcg at 10 by paceline's own definition, for whoever made the lists."""
    means = tools.scratch / "means.csv"
    run(tools, 1, "evaluate", "--lists", lists, "--truth", truth, "--out", tools.scratch / "users.parquet", "--summary", means,
        "--metrics", "ndcg", "--at", 10, "--force")  # fmt: skip
    return float(pd.read_csv(means).set_index("measure").loc["ndcg@10", "value"])


def first_range_of_a_cold_agent(tools: Tools, model: Path, directory: Path) -> dict:
    """Seconds from the start of an agent, whose job waits for it, to the first range that is committed, of any stage and of scores."""
    with Cluster(tools.paceline, directory, []) as cluster:
        job = ["recommend", "--model", model, "--top", 10, "--out", directory / "lists"]
        measure.run([tools.paceline, "submit", *job], cluster.environment())
        begin, found = time.perf_counter(), {}
        cluster.start("agent", "start", "--cores", 2)
        while "score_s" not in found:
            shown = cluster.ask("job", "show", "last")
            elapsed = time.perf_counter() - begin
            if shown["job"]["state"] not in ("running", "succeeded") or elapsed > 60:
                raise SystemExit(f"{directory}: the job did not get on: {shown['job']}")
            for name, key in (("check", "check_s"), ("score", "score_s")):
                if any(stage["name"] == name and stage["n_committed"] > 0 for stage in shown["stages"]):
                    found.setdefault(key, elapsed)
        measure.run([tools.paceline, "job", "cancel", "last"], cluster.environment())
        return found
