"""Forests of paceline beside scikit-learn's on real sets, small and large: accuracy, R², area under the curve, out-of-bag score, order of
importances. What differences are chance is told in `comparison.py`.

Usage: forest_accuracy.py PACELINE_BINARY FLIGHTS_PARQUET SCRATCH_DIRECTORY
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from comparison import Forest, check_equal, check_same_order, split
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

N_REPEATS = 12
N_TREES = 60
N_FLIGHTS = 6_000


class Comparison:
    """One table, given to both libraries with new splits and seeds; all figures are gathered, then judged."""

    def __init__(self, paceline: str, scratch: Path, name: str, table: pd.DataFrame, flags: tuple = ()) -> None:
        self.name, self.table = name, table
        self.is_regression = table["target"].dtype.kind == "f"
        self.n_features_per_split = max(1, int((table.shape[1] - 1) / 3 if self.is_regression else (table.shape[1] - 1) ** 0.5))
        task = "regression" if self.is_regression else "classification"
        self.forest = Forest(paceline, scratch / name, "--task", task, "--trees", N_TREES, "--max-features", self.n_features_per_split,
                             "--oob", *flags)  # fmt: skip
        self.ours, self.theirs, self.our_importances, self.their_importances = [], [], [], []

    def run(self) -> "Comparison":
        for seed in range(N_REPEATS):
            train, test = split(self.table, seed, min(N_FLIGHTS, len(self.table) * 2 // 3), N_FLIGHTS)
            self.ours.append(self.score_ours(train, test, seed))
            self.theirs.append(self.score_theirs(train, test, seed))
        return self

    def score_ours(self, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict:
        forest = self.forest.fit(train, seed)
        predicted = forest.predict(test.drop(columns="target"), *([] if self.is_regression else ["--proba"]))
        self.our_importances.append(forest.importances()[self.table.columns.drop("target")].to_numpy())
        scores = self.scores(test["target"], predicted["prediction"].to_numpy(), predicted.filter(like="probability_").to_numpy())
        return scores | {"out of bag": forest.oob_score()}

    def score_theirs(self, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict:
        kind = RandomForestRegressor if self.is_regression else RandomForestClassifier
        forest = kind(N_TREES, max_features=self.n_features_per_split, oob_score=True, n_jobs=-1, random_state=seed)
        forest.fit(train.drop(columns="target"), train["target"])
        self.their_importances.append(forest.feature_importances_)
        rows = test.drop(columns="target")
        probabilities = np.zeros((0, 0)) if self.is_regression else forest.predict_proba(rows)
        return self.scores(test["target"], forest.predict(rows), probabilities) | {"out of bag": forest.oob_score_}

    def scores(self, truth: pd.Series, predicted: np.ndarray, probabilities: np.ndarray) -> dict:
        if self.is_regression:
            return {"R²": r2_score(truth, predicted)}
        scores = {"accuracy": accuracy_score(truth, predicted.astype(truth.dtype))}
        if probabilities.shape[1] == 2:
            # Classes stand in their order, so the second column is that of the larger one.
            scores["area under the curve"] = roc_auc_score(truth, probabilities[:, 1])
        return scores

    def check(self, may_be_better: bool = False, has_order: bool = True) -> None:
        for score in self.ours[0]:
            ours, theirs = ([scores[score] for scores in side] for side in (self.ours, self.theirs))
            check_equal(f"{self.name}, {score}", ours, theirs, may_be_better)
        if has_order:
            check_same_order(self.name, self.our_importances, self.their_importances)


def bundled(load) -> pd.DataFrame:
    """A table that comes inside scikit-learn."""
    found = load()
    names = [f"f{feature}" for feature in range(found.data.shape[1])]
    is_regression = found.target.dtype.kind == "f"
    return pd.DataFrame(found.data, columns=names).assign(target=found.target if is_regression else found.target.astype(np.int32))


def main(paceline: str, flights: Path, scratch: Path) -> None:
    # As many bins as values: with exact splits on both sides, only the draws differ. With 255 bins, columns of many more values lose a
    # little of their importance.
    exact = ("--max-bins", 65_535)
    for name, load in (("iris", datasets.load_iris), ("wine", datasets.load_wine), ("breast cancer", datasets.load_breast_cancer),
                       ("diabetes", datasets.load_diabetes)):  # fmt: skip
        Comparison(paceline, scratch, name, bundled(load), exact).run().check()
    # Most pixels of a corner of a digit are blank: paceline goes on to draw features that vary where scikit-learn counts constant ones
    # as tried. So it may be better; and the order of 64 importances, many near 0, is not the same.
    Comparison(paceline, scratch, "digits", bundled(datasets.load_digits)).run().check(may_be_better=True, has_order=False)
    table = pd.read_parquet(flights)
    numbers = table[[name for name in table.columns if table[name].dtype.kind in "fiu"]]
    late = numbers.assign(target=table["outcome"].eq("late").astype(np.int32))
    Comparison(paceline, scratch, "late flights", late, exact).run().check()
    # In most flights there is no rain and the view is clear: again constant columns that scikit-learn counts as tried.
    warm = numbers[numbers["temperature_f"].notna()].rename(columns={"temperature_f": "target"})
    Comparison(paceline, scratch, "temperature", warm, exact).run().check(may_be_better=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
