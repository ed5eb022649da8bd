"""Settings of a forest that mean the same in scikit-learn: each must change paceline's forest as it changes scikit-learn's. And weights,
where repeating rows is the measure.

Usage: forest_settings.py PACELINE_BINARY FLIGHTS_PARQUET SCRATCH_DIRECTORY
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from comparison import Forest, check_equal, split
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score

N_REPEATS = 10
N_TREES = 30
N_TRAIN, N_TEST = 4_000, 8_000
EXACT = ("--max-bins", 65_535)


def numbers_of(flights: pd.DataFrame) -> pd.DataFrame:
    """Flights without text, with the wind and the rain on record, which extremely randomised trees of scikit-learn need."""
    numbers = flights[[name for name in flights.columns if flights[name].dtype.kind in "fiu"]].drop(columns="gust_mph")
    return numbers[numbers.notna().all(axis=1)]


def compare_classes(paceline: str, scratch: Path, table: pd.DataFrame, what: str, flags: tuple, estimator) -> None:
    """Scores that see more than the class: the likelihood of what happened, and the mean accuracy of the classes."""
    forest = Forest(paceline, scratch / what, "--trees", N_TREES, "--max-features", 3, *EXACT, *flags)
    ours, theirs = [], []
    for seed in range(N_REPEATS):
        train, test = split(table, seed, N_TRAIN, N_TEST)
        rows, truth = test.drop(columns="target"), test["target"]
        ours.append(scores_of_classes(truth, forest.fit(train, seed).predict(rows, "--proba").filter(like="probability_").to_numpy()))
        fitted = estimator(seed).fit(train.drop(columns="target"), train["target"])
        theirs.append(scores_of_classes(truth, fitted.predict_proba(rows)))
    for idx, score in enumerate(["likelihood", "balanced accuracy"]):
        check_equal(f"{what}, {score}", [scores[idx] for scores in ours], [scores[idx] for scores in theirs])


def scores_of_classes(truth: pd.Series, probabilities: np.ndarray) -> tuple[float, float]:
    # A class that no tree saw has the probability 0, which is too sure: a forest is judged as if it had one tree more, without knowledge.
    smoothed = (probabilities * N_TREES + 1 / probabilities.shape[1]) / (N_TREES + 1)
    return -log_loss(truth, smoothed), balanced_accuracy_score(truth, probabilities.argmax(axis=1))


def compare_numbers(paceline: str, scratch: Path, table: pd.DataFrame, what: str, flags: tuple, estimator) -> None:
    forest = Forest(paceline, scratch / what, "--trees", N_TREES, "--max-features", 3, *EXACT, *flags)
    ours, theirs = [], []
    for seed in range(N_REPEATS):
        train, test = split(table, seed, N_TRAIN, N_TEST)
        rows, truth = test.drop(columns="target"), test["target"]
        ours.append(r2_score(truth, forest.fit(train, seed).predict(rows)["prediction"]))
        theirs.append(r2_score(truth, estimator(seed).fit(train.drop(columns="target"), train["target"]).predict(rows)))
    check_equal(f"{what}, R²", ours, theirs)


def check_weights_are_repeats(paceline: str, scratch: Path, table: pd.DataFrame, is_regression: bool) -> None:
    """Rows that count two- or threefold, against rows that stand there two or three times: the same forest to the bit, where all rows are
    in every bag."""
    flags = ("--trees", 5, "--no-bootstrap", "--task", "regression" if is_regression else "classification", *EXACT)
    train, test = split(table, 0, 2_000, N_TEST)
    weights = np.random.default_rng(0).integers(1, 4, len(train))
    rows, proba = test.drop(columns="target"), () if is_regression else ("--proba",)
    repeated = Forest(paceline, scratch / "repeated", *flags).fit(train.loc[train.index.repeat(weights)], 0)
    weighted = Forest(paceline, scratch / "weighted", *flags, "--sample-weight", "weight").fit(train.assign(weight=weights), 0)
    of_repeated, of_weighted = repeated.predict(rows, *proba), weighted.predict(rows, *proba)
    of_plain = Forest(paceline, scratch / "plain", *flags).fit(train, 0).predict(rows, *proba)
    assert of_repeated.equals(of_weighted), "a row of weight n is not n rows"
    assert not of_plain.equals(of_weighted), "the weights change nothing"
    print(f"weights as repeats, {'regression' if is_regression else 'classification'}: the same {len(rows)} predictions")


def main(paceline: str, flights: Path, scratch: Path) -> None:
    table = pd.read_parquet(flights)
    numbers = numbers_of(table)
    # Three classes of very different sizes: about 75, 23 and 2 per cent.
    codes = {"on time": 0, "late": 1, "cancelled": 2, "diverted": 2}
    outcome = numbers.assign(target=table.loc[numbers.index, "outcome"].map(codes).astype(np.int32))
    temperature = numbers.rename(columns={"temperature_f": "target"})
    check_weights_are_repeats(paceline, scratch, outcome, is_regression=False)
    check_weights_are_repeats(paceline, scratch, temperature, is_regression=True)
    common = {"n_estimators": N_TREES, "max_features": 3, "n_jobs": -1}

    def classes(what: str, flags: tuple, kind=RandomForestClassifier, **settings) -> None:
        compare_classes(paceline, scratch, outcome, what, flags, lambda seed: kind(random_state=seed, **common, **settings))

    classes("entropy", ("--criterion", "entropy"), criterion="entropy")
    # Without a bootstrap where its meaning differs: in a leaf scikit-learn counts rows where paceline counts draws, and it draws rows of
    # a larger weight more often where paceline draws all alike and weighs them.
    classes("leaves of 10", ("--min-samples-leaf", 10, "--no-bootstrap"), min_samples_leaf=10, bootstrap=False)
    classes("depth of 6", ("--max-depth", 6), max_depth=6)
    classes("balanced classes", ("--class-weight", "balanced", "--min-samples-leaf", 10, "--no-bootstrap"), class_weight="balanced",
            min_samples_leaf=10, bootstrap=False)  # fmt: skip
    classes("extra trees", ("--extra-trees",), kind=ExtraTreesClassifier, bootstrap=True)
    classes("a third of the rows", ("--sample-fraction", 0.33), max_samples=0.33)

    def values(what: str, flags: tuple, kind=RandomForestRegressor, **settings) -> None:
        compare_numbers(paceline, scratch, temperature, what, flags, lambda seed: kind(random_state=seed, **common, **settings))

    values("regression, leaves of 5", ("--min-samples-leaf", 5, "--no-bootstrap"), min_samples_leaf=5, bootstrap=False)
    values("regression, extra trees", ("--extra-trees",), kind=ExtraTreesRegressor, bootstrap=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
