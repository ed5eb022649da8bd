"""What runs on a set: paceline by its command line, alone or as a cluster, and the peers by `peers.py`. Each run is a process of its own
and gives one flat dictionary of figures. What is compared with what is not decided here."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import measure
from daemons import Cluster
from figures import stage_seconds

HERE = Path(__file__).parent


@dataclass
class Set:
    """A table on disk with what is the same for all who learn from it."""

    name: str
    directory: Path
    n_trees: int
    seed: int

    @property
    def facts(self) -> dict:
        return json.loads((self.directory / "facts.json").read_text())

    def train_arguments(self, model: Path) -> list:
        """Leaves of one row and no limit of depth are paceline's defaults."""
        return ["forest", "train", "--data", self.directory / "train.parquet", "--target", "target", "--task", self.facts["task"],
                "--trees", self.n_trees, "--max-features", self.facts["n_features_per_split"], "--seed", self.seed, "--out", model,
                "--force"]  # fmt: skip


@dataclass
class Tools:
    """The programs."""

    paceline: Path
    python: Path
    scratch: Path


def run_peer(tools: Tools, peer: str, table: Set, n_threads: int) -> dict:
    measured = measure.run([tools.python, HERE / "peers.py", peer, table.directory, table.n_trees, n_threads, table.seed])
    # Libraries may print before: the figures are the last line.
    return json.loads(measured.stdout.splitlines()[-1])


def run_paceline(tools: Tools, table: Set, n_cores: int) -> dict:
    """The clock of the whole command: start of the process, reading Parquet, binning, trees, merging, writing the model."""
    trained = train(tools, table, n_cores)
    model, predictions = tools.scratch / "model", tools.scratch / "predictions.parquet"
    predicted = measure.run([tools.paceline, "run", "--cores", n_cores, "--output", "json", "forest", "predict", "--model", model, "--data",
                             table.directory / "predict.parquet", "--out", predictions, "--force"])  # fmt: skip
    n_rows = table.facts["n_predict"]
    score = subprocess.run([tools.python, HERE / "data.py", "score", table.directory, predictions], check=True, capture_output=True)
    return trained | {
        "score": json.loads(score.stdout), "predict_rows_per_s": n_rows / predicted.wall_s, "predict_cpu_s": predicted.cpu_s,
        "predict_peak_mb": predicted.peak_mb,
        "predict_stage_rows_per_s": n_rows / stage_seconds(json.loads(predicted.stdout))["predict"],
    }  # fmt: skip


def train(tools: Tools, table: Set, n_cores: int) -> dict:
    model = tools.scratch / "model"
    measured = measure.run([tools.paceline, "run", "--cores", n_cores, "--output", "json", *table.train_arguments(model)])
    return {"fit_s": measured.wall_s, "fit_cpu_s": measured.cpu_s, "peak_mb": measured.peak_mb,
            "peak_anonymous_mb": measured.peak_anonymous_mb, "hash": hash_of(model)} | of_stages(json.loads(measured.stdout))  # fmt: skip


def of_stages(job: dict) -> dict:
    """The job's own clock: without the start of the process, and of growing the trees alone."""
    seconds = stage_seconds(job)
    return {"stages_s": sum(seconds.values()), "trees_stage_s": seconds["trees"]}


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def train_on_cluster(tools: Tools, table: Set, directory: Path, agents: list) -> dict:
    """By new daemons each time: nothing is warm."""
    model = tools.scratch / "model"
    with Cluster(tools.paceline, directory, agents) as cluster:
        measured, job = cluster.submit(*table.train_arguments(model))
        return {"fit_s": measured.wall_s, "hash": hash_of(model)} | of_stages(job)
