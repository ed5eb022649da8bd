"""Forests of paceline beside scikit-learn's on real flights: as accurate within a point, scored out of bag as on rows held out, and
read from Python with safetensors and NumPy alone.

Usage: forest.py PACELINE_BINARY FLIGHTS_PARQUET SCRATCH_DIRECTORY
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor

N_TRAIN, N_TEST, N_TREES = 20_000, 20_000, 100
SEEDS = [1, 2, 3]
# Mean over the seeds, either way: forests of 100 trees on 20,000 rows differ by about a third of this between seeds.
TOLERANCE = 0.01
# scikit-learn orders categories by their codes where paceline divides them freely: not the same forest, so only not worse.
CATEGORY_TOLERANCE = 0.015


def traverse(path: Path, table: pd.DataFrame) -> np.ndarray:
    """Mean leaf of every row over the trees, [n_rows, n_outputs], by docs/model-format.md and nothing else."""
    with safe_open(path, "numpy") as file:
        meta = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    task, features = json.loads(meta["task"]), json.loads(meta["features"])
    n_outputs = len(task["classes"]["labels"]) if task["task"] == "classification" else 1
    columns = []
    for feature in features:
        values = table[feature["name"]]
        if feature["type"] == "categorical":
            codes = {level: code for code, level in enumerate(feature["levels"])}
            values = values.map(lambda level: codes.get(level, np.nan), na_action="ignore")
        columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
    rows = np.stack(columns, axis=1)
    sums = np.zeros((len(rows), n_outputs))
    for tree in range(int(meta["n_trees"])):
        part = lambda name, starts: arrays[name][arrays[starts][tree] : arrays[starts][tree + 1]]
        nodes, level_words = part("nodes", "node_starts"), part("level_words", "level_starts")
        is_regression = task["task"] == "regression"
        values = part("leaf_means" if is_regression else "leaf_shares", "leaf_starts").reshape(-1, n_outputs)
        add_leaves(sums, nodes, values, descend(nodes, level_words, arrays["thresholds"], arrays["threshold_starts"], rows))
    return sums / int(meta["n_trees"])


def descend(nodes, level_words, thresholds, starts, rows: np.ndarray) -> np.ndarray:
    """The leaf of every row."""
    # Behind the last bin of a feature there is no threshold: all numbers go left.
    ends = np.append(thresholds, np.inf)
    starts = starts.astype(np.int64)
    at = np.zeros(len(rows), dtype=np.int64)
    while True:
        moving = np.flatnonzero(nodes[at, 1] >> 31 == 0)
        if len(moving) == 0:
            return at
        head, tail = (nodes[at[moving], word].astype(np.int64) for word in (0, 1))
        feature, last_left, place = head >> 16, head & (2**16 - 1), tail & (2**29 - 1)
        value, missing_left, is_level = rows[moving, feature], tail >> 29 & 1 == 1, tail >> 30 & 1 == 1
        end = np.where(is_level, starts[feature], starts[feature] + last_left)
        threshold = np.where(end < starts[feature + 1], ends[end], np.inf)
        left, right = np.where(np.isnan(value), missing_left, value <= threshold), place
        begin = place[is_level] + (last_left[is_level] << 29)
        right[is_level] = level_words[begin]
        left[is_level] = are_in_set(level_words, begin, value[is_level]) != missing_left[is_level]
        at[moving] = np.where(left, at[moving] + 1, right)


def are_in_set(level_words: np.ndarray, begin: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Whether each level is in the set that begins there; a missing one is in none."""
    extent = level_words[begin + 1].astype(np.int64)
    first, n_words = extent & (2**16 - 1), extent >> 16
    level = np.where(np.isnan(value), -1, value).astype(np.int64)
    word = level // 32 - first
    is_inside = (level >= 0) & (word >= 0) & (word < n_words)
    bits = level_words[begin + 2 + np.where(is_inside, word, 0)] >> (level % 32).astype(np.uint32)
    return is_inside & (bits & 1 == 1)


def add_leaves(sums: np.ndarray, nodes: np.ndarray, values: np.ndarray, leaves: np.ndarray) -> None:
    """`values` are the rows of class shares, or numbers, of mixed leaves."""
    tail = nodes[leaves, 1].astype(np.int64)
    is_row, place = tail >> 30 & 1 == 1, tail & (2**29 - 1)
    sums[~is_row, place[~is_row]] += 1.0
    sums[is_row] += values[place[is_row]].astype(np.float64)


class Comparison:
    """One table, split once, given to both libraries."""

    def __init__(self, paceline: str, scratch: Path, name: str, table: pd.DataFrame, target: str) -> None:
        self.paceline, self.name, self.target, self.directory = paceline, name, target, scratch / name
        self.directory.mkdir(parents=True)
        shuffled = table.sample(N_TRAIN + N_TEST, random_state=0)
        self.train, self.test = shuffled[:N_TRAIN], shuffled[N_TRAIN:]
        self.train.to_parquet(self.directory / "train.parquet", index=False)
        self.test.to_parquet(self.directory / "test.parquet", index=False)

    def run(self, *arguments: object) -> None:
        subprocess.run([self.paceline, "run", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def ours(self, seed: int, *flags: object) -> tuple[float, float]:
        """Score on the rows held out, and out of bag."""
        model, out = self.directory / f"model-{seed}.safetensors", self.directory / f"predictions-{seed}.parquet"
        self.run("forest", "train", "--data", self.directory / "train.parquet", "--target", self.target, "--trees", N_TREES,
                 "--oob", "--seed", seed, "--out", model, *flags)  # fmt: skip
        is_classification = self.test[self.target].dtype.kind not in "fiu"
        proba = ["--proba"] if is_classification else []
        self.run("forest", "predict", "--model", model, "--data", self.directory / "test.parquet", "--out", out, *proba)
        found, by_hand = pd.read_parquet(out), traverse(model, self.test)
        if is_classification:
            probabilities = found.filter(like="probability_").to_numpy()
            assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-6, "probabilities sum to 1"
            assert (probabilities == by_hand).all(), "probabilities differ from the arrays walked by hand"
            labels = np.array([name.removeprefix("probability_") for name in found.columns[1:]])
            assert (found.prediction.to_numpy() == labels[by_hand.argmax(axis=1)]).all(), "the class is the largest share's"
        else:
            assert (found.prediction.to_numpy() == by_hand[:, 0]).all(), "predictions differ from the arrays walked by hand"
        with safe_open(model, "numpy") as file:
            return self.score(found.prediction.to_numpy()), float(file.metadata()["oob_score"])

    def theirs(self, estimator) -> float:
        encoded = [self.encoded(part) for part in (self.train, self.test)]
        return self.score(estimator.fit(encoded[0], self.train[self.target]).predict(encoded[1]))

    def encoded(self, part: pd.DataFrame) -> pd.DataFrame:
        def codes(column: pd.Series) -> pd.Series:
            levels = sorted(self.train[column.name].dropna().unique())
            return column.map({level: code for code, level in enumerate(levels)}).astype("float64")

        features = part.drop(columns=self.target)
        return features.apply(lambda column: column if column.dtype.kind in "fiu" else codes(column))

    def score(self, predicted: np.ndarray) -> float:
        truth = self.test[self.target].to_numpy()
        if self.test[self.target].dtype.kind in "fiu":
            truth = truth.astype(np.float64)
            return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        return (truth == predicted).mean()

    def check(self, estimator, flags: list, lower: float, upper: float) -> None:
        scores = np.array([self.ours(seed, *flags) for seed in SEEDS])
        held_out, oob = scores.mean(axis=0)
        peer = np.mean([self.theirs(estimator(seed)) for seed in SEEDS])
        print(f"{self.name}: paceline {held_out:.4f} (out of bag {oob:.4f}), scikit-learn {peer:.4f}")
        assert -lower <= held_out - peer <= upper, f"{self.name}: {held_out:.4f} against {peer:.4f}"
        assert abs(held_out - oob) < 1.5 * TOLERANCE, f"{self.name}: out of bag {oob:.4f}, held out {held_out:.4f}"


def main(paceline: str, flights: Path, scratch: Path) -> None:
    table = pd.read_parquet(flights)
    numbers = table[[name for name in table.columns if table[name].dtype.kind in "fiu"]]
    common = {"n_estimators": N_TREES, "n_jobs": -1}
    classifier = lambda seed: RandomForestClassifier(random_state=seed, **common)
    Comparison(paceline, scratch, "outcome-by-numbers", numbers.assign(outcome=table.outcome), "outcome").check(
        classifier, [], TOLERANCE, TOLERANCE)  # fmt: skip
    Comparison(paceline, scratch, "outcome-by-all", table, "outcome").check(classifier, [], CATEGORY_TOLERANCE, 1.0)
    extra = lambda seed: ExtraTreesClassifier(random_state=seed, bootstrap=True, **common)
    Comparison(paceline, scratch, "outcome-extra-trees", numbers.assign(outcome=table.outcome), "outcome").check(
        extra, ["--extra-trees"], TOLERANCE, TOLERANCE)  # fmt: skip
    warm = numbers[numbers.temperature_f.notna()]
    regressor = lambda seed: RandomForestRegressor(max_features=0.4, random_state=seed, **common)
    Comparison(paceline, scratch, "temperature", warm, "temperature_f").check(
        regressor, ["--max-features", "0.4"], TOLERANCE, TOLERANCE)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
