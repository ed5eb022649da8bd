"""Models of `knn train` and `popular train`, and the lists that come of them, beside LensKit's ItemKNNScorer and PopScorer and `implicit`'s
CosineRecommender, with settings that mean the same.

Usage: knn_trainer.py PACELINE_BINARY SCRATCH_DIRECTORY DEBIAN_NEEDS_PARQUET
"""

import os
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import lenskit_without_torch  # noqa: E402, F401, before LensKit
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from implicit.nearest_neighbours import CosineRecommender  # noqa: E402
from lenskit.basic import PopScorer  # noqa: E402
from lenskit.data import Dataset, from_interactions_df  # noqa: E402
from lenskit.knn import ItemKNNScorer  # noqa: E402
from recommender_lists import TOP, check_lists, run, scores_by_implicit, scores_by_lenskit, write_ratings  # noqa: E402
from safetensors import safe_open  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402

# Users of the large table that is learnt from.
N_USERS = 1500
# Of similarities, at most 1: sums in single precision by LensKit, in double precision by paceline.
TOLERANCE = 2e-6
ALL = 100_000


def similarities(model: str) -> csr_matrix:
    """The neighbours of a model of paceline, items × items."""
    with safe_open(model, "numpy") as file:
        indptr, items, values = (file.get_tensor(f"neighbour_{name}") for name in ["indptr", "items", "similarities"])
    return csr_matrix((values, items, indptr), shape=(len(indptr) - 1, len(indptr) - 1))


def check_similarities(what: str, ours: csr_matrix, theirs: csr_matrix, n_saved: int) -> None:
    """Whether both keep as many neighbours of each item with the same similarities. Which of equally similar ones are kept may differ
    where not all are."""
    theirs.setdiag(0)
    theirs.eliminate_zeros()
    assert (np.diff(ours.indptr) == np.diff(theirs.indptr)).all(), f"{what}: items have other numbers of neighbours"
    for item in range(ours.shape[0]):
        a, b = (np.sort(matrix.data[matrix.indptr[item] : matrix.indptr[item + 1]]) for matrix in (ours, theirs))
        assert np.allclose(a, b, rtol=0, atol=TOLERANCE), f"{what}: other similarities of item {item}"
    if n_saved == ALL:
        difference = abs(ours - theirs)
        assert difference.nnz == 0 or difference.max() <= TOLERANCE, f"{what}: other neighbours"
    else:
        assert np.diff(ours.indptr).max() == n_saved, f"{what}: nothing was cut off"
    print(f"{what}: {ours.nnz} similarities of {ours.shape[0]} items equal")


def learn(paceline: str, learner: str, data: str, *flags: object) -> None:
    """Leaves the model `model` and the lists `lists.parquet` of all users."""
    run(paceline, learner, "train", "--data", data, "--out", "model", "--force", *flags)
    run(paceline, "recommend", "--model", "model", "--top", TOP, "--out", "lists.parquet", "--force")


def check_lenskit(paceline: str, data: Dataset, feedback: str, max_nbrs: int, min_nbrs: int, min_sim: float, n_saved: int) -> None:
    what = f"knn of LensKit, {feedback}, {max_nbrs} above {min_sim} of {n_saved}"
    settings = ["--max-neighbours", max_nbrs, "--min-neighbours", min_nbrs, "--min-similarity", min_sim, "--save-neighbours", n_saved]
    learn(paceline, "knn", "ratings.parquet", *settings, *(["--explicit"] if feedback == "explicit" else []))
    theirs = {"max_nbrs": max_nbrs, "min_nbrs": min_nbrs, "min_sim": min_sim, "save_nbrs": None if n_saved == ALL else n_saved}
    scorer = ItemKNNScorer(feedback=feedback, **theirs)
    scorer.train(data)
    check_similarities(what, similarities("model"), csr_matrix(scorer.sim_matrix.to_scipy()), n_saved)
    check_lists(what, "lists.parquet", scores_by_lenskit(scorer, data))


def check_implicit(paceline: str, debian_needs: Path) -> None:
    table = pd.read_parquet(debian_needs)
    table = table[table["user"].isin(table["user"].unique()[:N_USERS])]
    table.to_parquet("needs.parquet", index=False)
    users, items = (table[column].astype("category").cat for column in ["user", "item"])
    taken = csr_matrix((np.ones(len(table)), (users.codes, items.codes)))
    for n_saved in [ALL, 30]:
        what = f"knn of implicit, {n_saved}"
        learn(paceline, "knn", "needs.parquet", "--max-neighbours", ALL, "--save-neighbours", n_saved)
        # implicit counts the item itself.
        scorer = CosineRecommender(K=min(n_saved, taken.shape[1]) + 1)
        scorer.fit(taken, show_progress=False)
        check_similarities(what, similarities("model"), scorer.similarity.copy(), n_saved)
        # Among equally similar items at the end, each keeps others, which may speak for other items.
        if n_saved == ALL:
            check_lists(what, "lists.parquet", scores_by_implicit(scorer, users.categories, items.categories, taken))


def main(paceline: str, scratch: Path, debian_needs: Path) -> None:
    os.chdir(scratch)
    write_ratings("ratings.parquet", "ratings-test.parquet")
    data = from_interactions_df(pd.read_parquet("ratings.parquet"))
    for feedback in ["explicit", "implicit"]:
        check_lenskit(paceline, data, feedback, max_nbrs=20, min_nbrs=1, min_sim=1e-6, n_saved=ALL)
        check_lenskit(paceline, data, feedback, max_nbrs=5, min_nbrs=3, min_sim=0.12, n_saved=ALL)
    # Ratings make few items equally similar, so both keep the same.
    check_lenskit(paceline, data, "explicit", max_nbrs=5, min_nbrs=3, min_sim=1e-6, n_saved=30)
    check_implicit(paceline, debian_needs)
    learn(paceline, "popular", "ratings.parquet")
    scorer = PopScorer(score="count")
    scorer.train(data)
    check_lists("popular", "lists.parquet", scores_by_lenskit(scorer, data))


if __name__ == "__main__":
    main(sys.argv[1], *(Path(path).resolve() for path in sys.argv[2:4]))
