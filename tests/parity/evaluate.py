"""Metrics of paceline beside LensKit's own on the same lists and truths, with every edge that they have.

Usage: evaluate.py write DIRECTORY    writes the tables below
       evaluate.py check DIRECTORY    compares what paceline has measured with what LensKit measures
       evaluate.py run DIRECTORY PACELINE_BINARY    writes, lets `paceline run evaluate` measure, and compares

Tables: recommendations.csv (user, item, rank, score), truth.csv (user, item, rating), predictions.csv (user, item, score).
Measured: metrics.csv (user; a column for each metric, such as ndcg@10, and rmse and mae; empty where undefined), with a row for each user
who has a list, and where it has one for a user without, that is the user's empty list; summary.json: `mean` (over the lists for which a
metric is defined), `mean_with_undefined_as_0`, `rmse` and `mae` of all predictions together, `coverage` and `gini` by cutoff.
"""

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path

import lenskit_without_torch  # noqa: F401, before LensKit
import lenskit
import numpy as np
import pandas as pd
from lenskit import metrics as lk
from lenskit.data import ItemList, ItemListCollection, Vocabulary
from lenskit.metrics.ranking import AveragePrecision

IS_2025 = lenskit.__version__.startswith("2025.")
N_USERS, N_ITEMS, CUTOFFS = 400, 300, [1, 5, 10, 100, None]
TOLERANCE = 1e-6
METRICS = {
    "ndcg": lk.NDCG,
    "graded_ndcg": lambda n: lk.NDCG(n, gain="rating"),
    "dcg": lk.DCG,
    "graded_dcg": lambda n: lk.DCG(n, gain="rating"),
    "precision": lk.Precision,
    "recall": lk.Recall,
    "hit": lk.Hit,
    "reciprocal_rank": lk.RecipRank,
    "average_precision": AveragePrecision,
    "rbp": lk.RBP,
}


def ratings_of(user: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Halves from 0.5 to 5; some users rate strangely: all 0, some below 0, some missing, none given."""
    ratings = rng.integers(1, 11, n) / 2
    strange = {0: ratings * 0, 1: ratings - 3, 2: np.where(rng.random(n) < 0.5, np.nan, ratings), 3: ratings * np.nan}
    return strange.get(user % 40, ratings)


def write(directory: Path) -> None:
    rng = np.random.default_rng(7)
    recommendations, truth, predictions = [], [], []
    for user in range(N_USERS):
        # Lists of any length, for one user in ten none; truths from none to more than any list; items popular and not.
        listed = (N_ITEMS * rng.random(rng.integers(1, 160) if user % 10 else 0) ** 2).astype(int)
        relevant = (N_ITEMS * rng.random(rng.choice([0, 1, 3, 20, 200])) ** 2).astype(int)
        listed, relevant = rng.permutation(np.unique(listed)), rng.permutation(np.unique(relevant))
        if user % 7 == 0:  # a perfect list but for what follows
            listed = np.concatenate([relevant, np.setdiff1d(listed, relevant)])
        ratings = ratings_of(user, len(relevant), rng)
        recommendations += [(user, item, rank + 1, 1 / (rank + 1)) for rank, item in enumerate(listed)]
        truth += zip([user] * len(relevant), relevant, ratings)
        predictions += [(user, item, rng.normal(3, 1)) for item in relevant[: -1 if user % 5 == 0 else None]]
        predictions += [(user, item, rng.normal(3, 1)) for item in np.setdiff1d(np.arange(3), relevant)]
    pd.DataFrame(recommendations, columns=["user", "item", "rank", "score"]).to_csv(directory / "recommendations.csv", index=False)
    pd.DataFrame(truth, columns=["user", "item", "rating"]).to_csv(directory / "truth.csv", index=False)
    pd.DataFrame(predictions, columns=["user", "item", "score"]).to_csv(directory / "predictions.csv", index=False)


def item_list(table: pd.DataFrame | None, **fields: str) -> ItemList:
    if table is None:
        return ItemList(item_ids=np.array([], dtype=np.int64), ordered="rank" in fields, rating=np.array([], dtype=float))
    extra = {name: table[column].to_numpy(dtype=float) for name, column in fields.items() if name != "rank"}
    return ItemList(item_ids=table["item"].to_numpy(), ordered="rank" in fields, **extra)


def measured_by_lenskit(metric: object, outputs: ItemList, truth: ItemList) -> float:
    """NaN where LensKit divides by 0, which it does for an average precision without a truth."""
    call = lk.call_metric if IS_2025 else lk.measure_list
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        try:
            return float(call(metric, outputs, truth))
        except ZeroDivisionError:
            return math.nan


def is_defined_alike(metric: str, ratings: pd.Series) -> bool:
    """Whether this version of LensKit has the definition that paceline has, which is that of 2026.4. In 2025.8 a DCG without a truth is 0,
    and ratings below 0, missing ones and those of a user who rates everything 0 come into the graded metrics as they are."""
    has_strange_ratings = not (ratings > 0).all()
    differs_in_2025 = {"dcg": ratings.empty, "graded_dcg": ratings.empty or has_strange_ratings, "graded_ndcg": has_strange_ratings}
    return not (IS_2025 and differs_in_2025.get(metric, False))


def check_equal(what: str, ours: float, theirs: float) -> None:
    is_equal = math.isnan(ours) and math.isnan(theirs) or abs(ours - theirs) <= TOLERANCE * max(1, abs(theirs))
    assert is_equal, f"{what}: paceline {ours}, LensKit {theirs}"


def check_users(ours: pd.DataFrame, lists: dict, truths: dict, predictions: dict) -> dict[str, int]:
    """Compares every number of every user. Returns how many were compared of each metric."""
    n_compared = dict.fromkeys([*METRICS, "rmse", "mae"], 0)
    errors = {"rmse": lk.RMSE("ignore", "ignore"), "mae": lk.MAE("ignore", "ignore")}
    for user, row in ours.iterrows():
        ratings = truths[user]["rating"] if user in truths else pd.Series([], dtype=float)
        listed, truth = item_list(lists.get(user), rank="rank"), item_list(truths.get(user), rating="rating")
        predicted = item_list(predictions.get(user), scores="score")
        for name, metric in METRICS.items():
            if not is_defined_alike(name, ratings):
                continue
            for n in CUTOFFS:
                column = name if n is None else f"{name}@{n}"
                check_equal(f"{column} of user {user}", row[column], measured_by_lenskit(metric(n), listed, truth))
                n_compared[name] += 1
        has_both = user in predictions and predictions[user]["item"].isin(truths[user].dropna()["item"] if user in truths else []).any()
        for name, metric in errors.items():
            # LensKit's MAE of nothing is an error.
            theirs = measured_by_lenskit(metric, predicted, truth) if has_both else math.nan
            check_equal(f"{name} of user {user}", row[name], theirs)
            n_compared[name] += has_both
    return n_compared


def run_lenskit(metrics: list, outputs: ItemListCollection, truth: ItemListCollection) -> lk.RunAnalysisResult:
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        return lk.RunAnalysis(*metrics).measure(outputs, truth)


def check_summary(ours: dict, metrics: pd.DataFrame, lists: dict, truths: dict, predictions: dict, tables: dict) -> None:
    """Compares what is over all users."""
    keyed = lambda groups, **fields: ItemListCollection.from_dict({user: item_list(table, **fields) for user, table in groups.items()}, "user")
    outputs, all_outputs, truth = keyed(lists, rank="rank"), keyed(lists, rank="rank"), keyed(truths, rating="rating")
    for user in metrics.index.difference(list(lists)):
        all_outputs.add(item_list(None, rank="rank"), user)
    # The metrics for which all versions of LensKit have one definition, and no error, for every list.
    labels = {"ndcg": "NDCG", "precision": "Precision", "recall": "Recall", "hit": "Hit", "reciprocal_rank": "RecipRank", "rbp": "RBP"}
    measured = run_lenskit([METRICS[name](n) for name in labels for n in CUTOFFS], all_outputs, truth)
    mean, mean_with_0 = measured.list_metrics(fill_missing=False).mean(), measured.list_metrics(fill_missing=False).fillna(0).mean()
    # What LensKit prints is the one or the other.
    assert np.allclose(measured.list_summary()["mean"], mean_with_0 if IS_2025 else mean, rtol=0, atol=TOLERANCE)
    items = N_ITEMS if IS_2025 else Vocabulary(np.arange(N_ITEMS))
    # An empty list exposes no item, and breaks the Gini coefficient of LensKit 2025.8.
    ginis = run_lenskit([lk.ListGini(n, items=items) for n in CUTOFFS], outputs, truth).global_metrics()
    for n in CUTOFFS:
        at = "" if n is None else f"@{n}"
        for name, label in labels.items():
            check_equal(f"mean of {name}{at}", ours["mean"][name + at], mean[label + at])
            check_equal(f"mean of {name}{at} with 0", ours["mean_with_undefined_as_0"][name + at], mean_with_0[label + at])
        check_equal(f"gini{at}", ours["gini"][at], next(value for key, value in ginis.items() if key.split(".")[0] == f"ListGini{at}"))
        covered = tables["recommendations"].loc[lambda table: table["rank"] <= (n or math.inf), "item"].nunique()
        check_equal(f"coverage{at}", ours["coverage"][at], covered / N_ITEMS)
    # Errors of all predictions together: as if they were of one user.
    both = tables["predictions"].merge(tables["truth"].dropna(), on=["user", "item"])
    both = both.assign(item=range(len(both)))
    for name, metric in {"rmse": lk.RMSE(), "mae": lk.MAE()}.items():
        check_equal(name, ours[name], measured_by_lenskit(metric, item_list(both, scores="score"), item_list(both, rating="rating")))


def check(directory: Path) -> None:
    tables = {name: pd.read_csv(directory / f"{name}.csv") for name in ["recommendations", "truth", "predictions"]}
    by_user = lambda name: {int(user): table for user, table in tables[name].groupby("user")}
    lists, truths, predictions = by_user("recommendations"), by_user("truth"), by_user("predictions")
    ours = pd.read_csv(directory / "metrics.csv", index_col="user")
    assert set(lists) <= set(ours.index), "a user with a list has no row"
    n_compared = check_users(ours, lists, truths, predictions)
    assert min(n_compared.values()) > N_USERS / 2, n_compared
    check_summary(json.loads((directory / "summary.json").read_text()), ours, lists, truths, predictions, tables)
    print(f"{sum(n_compared.values())} numbers of {len(ours)} users: equal to LensKit {lenskit.__version__} within {TOLERANCE}")


def measure(directory: Path, paceline: str) -> None:
    """Lets paceline measure, and puts what it says into the form that is checked."""
    items, users, means = directory / "items.csv", directory / "users.csv", directory / "means.csv"
    pd.DataFrame({"item": range(N_ITEMS)}).to_csv(items, index=False)
    inputs = ["--lists", directory / "recommendations.csv", "--truth", directory / "truth.csv", "--catalog", items]
    inputs += ["--predictions", directory / "predictions.csv"]
    cutoffs = ",".join("all" if n is None else str(n) for n in CUTOFFS)
    flags = ["--metrics", ",".join(METRICS), "--at", cutoffs, "--missing-lists", "empty", "--out", users, "--summary", means]
    subprocess.run([paceline, "run", "evaluate", *inputs, *flags], check=True)
    by_user = pd.read_csv(users, index_col="user")
    # Users of predictions alone have neither a list nor a truth, nor a row among what is checked.
    by_user[(by_user.n_listed > 0) | (by_user.n_relevant > 0)].to_csv(directory / "metrics.csv")
    overall = pd.read_csv(means).set_index("measure")
    named = lambda name: {key[len(name) :]: value for key, value in overall["value"].items() if key.split("@")[0] == name}
    summary = {
        "mean": overall["value"].to_dict(),
        "mean_with_undefined_as_0": overall["value_with_undefined_as_0"].to_dict(),
        "coverage": named("coverage"),
        "gini": named("gini"),
        "rmse": overall["value"]["rmse"],
        "mae": overall["value"]["mae"],
    }
    (directory / "summary.json").write_text(json.dumps(summary))


def run(directory: Path, paceline: str) -> None:
    write(directory)
    measure(directory, paceline)
    check(directory)


if __name__ == "__main__":
    {"write": write, "check": check, "run": run}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
