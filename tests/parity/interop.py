"""The programs and commands of docs/interop.md, run as they stand there, and the lists of paceline that come of them beside those of the
packages themselves.

Usage: interop.py PACELINE_BINARY SCRATCH_DIRECTORY INTEROP_MD DEBIAN_NEEDS_PARQUET
"""

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit has threads of its own
warnings.simplefilter("ignore")

import lenskit_without_torch  # noqa: E402, F401, before LensKit
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from implicit.bpr import BayesianPersonalizedRanking  # noqa: E402
from implicit.lmf import LogisticMatrixFactorization  # noqa: E402
from implicit.nearest_neighbours import BM25Recommender, TFIDFRecommender  # noqa: E402
from lenskit.als import ImplicitMFScorer  # noqa: E402
from recommender_lists import TOP, check_lists, scores_by_implicit, scores_by_lenskit, write_ratings  # noqa: E402

# Users of the large table that is learnt from.
N_USERS = 1500
# A step of the page: a program, or an indented command.
STEP = re.compile(r"^```python\n(.*?)^```$|^    paceline (.*?)$", re.DOTALL | re.MULTILINE)


class Page:
    """What the page's programs define when they and the commands between them have run, in the present directory."""

    def __init__(self, paceline: str, page: Path) -> None:
        self.paceline, self.names = paceline, {}
        steps = STEP.findall(page.read_text())
        assert sum(bool(program) for program, _ in steps) == 8 and sum(bool(command) for _, command in steps) == 9, "steps of the page"
        for program, command in steps:
            if program:
                exec(program, self.names)
            else:
                self.run(*shlex.split(command))

    def __getitem__(self, name: str) -> object:
        return self.names[name]

    def run(self, *arguments: object) -> None:
        subprocess.run([self.paceline, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def recommend(self, model: str) -> str:
        out = f"{model}.parquet"
        self.run("run", "recommend", "--model", model, "--top", TOP, "--out", out)
        return out


def check_implicit(page: Page) -> None:
    taken, users, items = page["taken"], page["users"].categories, page["items"].categories
    check_lists("implicit's ALS", "lists.parquet", scores_by_implicit(page["als"], users, items, taken))
    check_lists("implicit's cosine", "cosine.parquet", scores_by_implicit(page["cosine"], users, items, taken))
    users = users + " – Zoë"  # UTF-8 has more bytes than characters
    for recommender in [BayesianPersonalizedRanking, LogisticMatrixFactorization]:
        model = recommender(factors=8, iterations=5, random_state=0)
        model.fit(taken, show_progress=False)
        factors = {"user_factors": model.user_factors, "item_factors": model.item_factors}
        page["write_model"](recommender.__name__, users, items, taken, factors)
        check_lists(recommender.__name__, page.recommend(recommender.__name__), scores_by_implicit(model, users, items, taken))
    for recommender in [TFIDFRecommender, BM25Recommender]:
        model = recommender(K=21)
        model.fit(taken, show_progress=False)
        page["write_model"](recommender.__name__, users, items, taken, page["neighbour_arrays"](model.similarity), page["everyone"])
        check_lists(recommender.__name__, page.recommend(recommender.__name__), scores_by_implicit(model, users, items, taken))


def check_lenskit(page: Page) -> None:
    data = page["data"]
    for feedback in ["explicit", "implicit"]:
        scorer = page["ItemKNNScorer"](feedback=feedback, max_nbrs=10, min_nbrs=2, save_nbrs=40)
        scorer.train(data)
        check_lists(f"LensKit's {feedback} kNN", f"{feedback}-knn.parquet", scores_by_lenskit(scorer, data))
    for name in ["biases", "svd", "mf"]:
        check_lists(f"LensKit's {name}", f"{name}.parquet", scores_by_lenskit(page[name], data))
    scorer = ImplicitMFScorer(features=8, user_embeddings="prefer")
    scorer.train(data)
    page["write_lenskit"]("implicit-mf", {"user_factors": scorer.user_embeddings, "item_factors": scorer.item_embeddings})
    check_lists("LensKit's implicit MF", page.recommend("implicit-mf"), scores_by_lenskit(scorer, data))


def check_metrics(page: Page) -> None:
    """The page's measurement by LensKit, and paceline's of the same lists; and the other way round."""
    page.run("run", "evaluate", "--lists", "lists.parquet", "--truth", "test.parquet", "--at", TOP, "--out", "lists-users.parquet")
    collection, analysis = page["collection"], page["RunAnalysis"](page["NDCG"](TOP), page["RecipRank"](TOP))
    by_lenskit = analysis.measure(collection("lenskit-lists.parquet"), collection("ratings-test.parquet"))
    for path, measured in {"lists-users.parquet": page["measured"], "users.parquet": by_lenskit}.items():
        theirs = measured.list_metrics(fill_missing=False)
        ours = pd.read_parquet(path).set_index("user").loc[theirs.index]
        for name, label in {f"ndcg@{TOP}": f"NDCG@{TOP}", f"reciprocal_rank@{TOP}": f"RecipRank@{TOP}"}.items():
            assert np.allclose(ours[name], theirs[label], rtol=0, atol=1e-6, equal_nan=True), f"{path}: {name} differs"
            assert (theirs[label] > 0).mean() > 0.05, f"{path}: lists without a hit would all be equal"
        print(f"{path}: metrics of {len(theirs)} users equal")


def main(paceline: str, scratch: Path, page: Path, debian_needs: Path) -> None:
    os.chdir(scratch)
    Path("data").mkdir()
    table = pd.read_parquet(debian_needs)
    table[table["user"].isin(table["user"].unique()[:N_USERS])].to_parquet("data/debian-needs.parquet", index=False)
    write_ratings("ratings.parquet", "ratings-test.parquet")
    page = Page(paceline, page)
    check_implicit(page)
    check_lenskit(page)
    check_metrics(page)


if __name__ == "__main__":
    main(sys.argv[1], *(Path(path).resolve() for path in sys.argv[2:5]))
