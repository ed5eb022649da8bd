"""What the scripts on recommenders share: tables to learn from, and lists of paceline beside the scores of another package."""

import subprocess
from collections.abc import Callable

import lenskit_without_torch  # noqa: F401, before LensKit
import numpy as np
import pandas as pd
from lenskit import recommend
from lenskit.data import Dataset
from lenskit.pipeline import topn_pipeline
from lenskit.training import TrainingOptions
from scipy.sparse import csr_matrix

TOP = 10
# Users whose lists are compared: Python takes its time over each.
N_CHECKED = 100
# Of scores near 1: sums of up to some hundred numbers in single precision, in another order.
TOLERANCE = 1e-5


def run(paceline: str, *arguments: object) -> None:
    subprocess.run([paceline, "run", "--output", "quiet", *map(str, arguments)], check=True)


def write_ratings(path: str, test_path: str) -> None:
    """Ratings of some taste, a tenth held out; ids are numbers with gaps between them."""
    rng = np.random.default_rng(5)
    n_users, n_items = 240, 160
    taste = rng.normal(size=(n_users, 3)) @ rng.normal(size=(3, n_items)) + rng.normal(size=n_items) + rng.normal(size=(n_users, 1))
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.2)
    ratings = np.clip(np.round(6 + 1.5 * taste[users, items] + rng.normal(size=len(users))), 1, 10) / 2
    table = pd.DataFrame({"user_id": 13 * users, "item_id": 100 + 7 * items, "rating": ratings})
    is_test = rng.random(len(table)) < 0.1
    table[~is_test].to_parquet(path, index=False)
    table[is_test].to_parquet(test_path, index=False)


def check_lists(what: str, path: str, scores_of: Callable[[object], pd.Series]) -> None:
    """Whether lists are the best of all items that the package would recommend, whose scores `scores_of` gives for a user."""
    lists = pd.read_parquet(path)
    users = np.random.default_rng(1).choice(lists["user"].unique(), N_CHECKED, replace=False)
    by_user = dict(list(lists[lists["user"].isin(users)].groupby("user")))
    for user in users:
        ours, theirs = by_user[user], scores_of(user).sort_values(ascending=False)
        allowed = TOLERANCE * np.maximum(1, theirs.abs().to_numpy()[:TOP])
        assert len(theirs) > 0 and len(ours) == min(TOP, len(theirs)), f"{what}, {user}: {len(ours)} of {len(theirs)} items"
        assert (ours["rank"].to_numpy() == np.arange(1, len(ours) + 1)).all() and ours["item"].is_unique, f"{what}, {user}: ranks"
        unknown = set(ours["item"]) - set(theirs.index)
        assert not unknown, f"{what}, {user}: {unknown} are not recommended by the package (are they seen?)"
        for name, expected in {"a better item": theirs.to_numpy()[:TOP], "another score": theirs[ours["item"]].to_numpy()}.items():
            difference = np.abs(ours["score"].to_numpy() - expected)
            assert (difference <= allowed).all(), f"{what}, {user}: {name}, by {difference.max()}"
    print(f"{what}: lists of {len(users)} users equal")


def scores_by_implicit(model: object, users: pd.Index, items: pd.Index, taken: csr_matrix) -> Callable[[object], pd.Series]:
    """Scores of the items that `implicit` recommends; to seen ones it gives the lowest number that there is."""

    def scores_of(user: object) -> pd.Series:
        row = users.get_loc(user)
        numbers, scores = model.recommend(row, taken[row], N=len(items))
        kept = scores > -1e30
        return pd.Series(scores[kept], items[numbers[kept]])

    return scores_of


def scores_by_lenskit(scorer: object, data: Dataset) -> Callable[[object], pd.Series]:
    """Scores of the items that LensKit's own pipeline recommends; it leaves out what the user has rated."""
    pipeline = topn_pipeline(scorer)
    pipeline.train(data, TrainingOptions(retrain=False))
    return lambda user: recommend(pipeline, user).to_df().set_index("item_id")["score"].astype(float)
