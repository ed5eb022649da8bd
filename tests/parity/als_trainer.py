"""Models of `als train` beside exact solutions of the same equations in double precision, beside those of LensKit and `implicit`, and
beside `implicit` by how well they recommend what was held out.

**Equations.** What an iteration leaves must solve the equations of docs/recommenders.md exactly: the items given the users, and the users
given the items of the iteration before. Models of LensKit and `implicit` must solve the same equations, which says that their objective is
ours and which of their settings is which.

**Held out.** Both learn from the same splits by the same settings, each from starting values of its own. The means over the splits may
differ by 1 %; three standard errors of the mean difference must be less than that, or the test could not tell.

Usage: als_trainer.py PACELINE_BINARY SCRATCH_DIRECTORY DEBIAN_NEEDS_PARQUET
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit has threads of its own
warnings.simplefilter("ignore")

import lenskit_without_torch  # noqa: E402, F401, before LensKit
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from implicit.cpu.als import AlternatingLeastSquares  # noqa: E402
from lenskit.als import BiasedMFScorer, ImplicitMFScorer  # noqa: E402
from lenskit.basic import BiasScorer  # noqa: E402
from lenskit.data import from_interactions_df  # noqa: E402
from recommender_lists import TOP, run, write_ratings  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402

N_FACTORS, ALPHA, REGULARIZATION = 8, 3.0, 0.5
DAMPING, REGULARIZATION_OF_RATINGS = 4.0, 0.05
# Rounding in single precision is multiplied by the condition of a row's matrix at the most; some roundings of a row add up.
ROUNDING = 8 * 2.0**-24
N_SPLITS = 5
HELD_OUT = {"factors": 32, "regularization": 0.1, "iterations": 10}
HELD_OUT_ALPHA = 4.0


def read(model: str) -> tuple[dict, dict]:
    """Metadata, and arrays in double precision."""
    with safe_open(model, "numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}


def implicit_terms(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weight and the target of each cell of users × items, as docs/recommenders.md has them."""
    return 1 + ALPHA * np.abs(values), (values > 0).astype(float)


def solve(weights: np.ndarray, targets: np.ndarray, other: np.ndarray, by_ratings: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The factors of all rows, exactly, and the condition of each row's matrix; a row without any weight has none."""
    factors, conditions = np.zeros((len(weights), other.shape[1])), np.ones(len(weights))
    for row, (weight, target) in enumerate(zip(weights, targets)):
        if weight.any():
            penalty = REGULARIZATION_OF_RATINGS * np.count_nonzero(weight) if by_ratings else REGULARIZATION
            matrix = (other.T * weight) @ other + penalty * np.eye(other.shape[1])
            factors[row], conditions[row] = np.linalg.solve(matrix, other.T @ (weight * target)), np.linalg.cond(matrix)
    return factors, conditions


def check_solved(what: str, found: np.ndarray, solved: tuple[np.ndarray, np.ndarray]) -> None:
    exact, conditions = solved
    differences, sizes = np.linalg.norm(found - exact, axis=1), np.linalg.norm(exact, axis=1)
    assert sizes.max() > 0.1, f"{what}: there is nothing to find"
    allowed = ROUNDING * conditions * np.maximum(sizes, 1e-3)
    assert (differences <= allowed).all(), f"{what}: {differences.max()} off, {(differences / allowed).max()} times what rounding makes"
    print(f"{what}: {len(found)} rows solve their equations, {(differences / allowed).max():.2f} of what is allowed")


def check_implicit_equations(paceline: str) -> None:
    rng = np.random.default_rng(3)
    n_users, n_items = 300, 120
    taste = rng.normal(size=(n_users, 3)) @ rng.normal(size=(3, n_items))
    values = np.where((taste + rng.normal(size=taste.shape) > 2.5), rng.integers(-1, 4, taste.shape), 0).astype(float)
    users, items = np.nonzero(values)
    table = pd.DataFrame({"user": users, "item": items, "value": values[users, items]})
    # Rows of the value 0 say nothing; every user and item has one, so that their numbers are their ids.
    nothing = pd.DataFrame({"user": np.arange(n_users), "item": np.arange(n_users) % n_items, "value": 0.0})
    pd.concat([table, nothing]).to_parquet("taken.parquet", index=False)
    settings = ["--data", "taken.parquet", "--factors", N_FACTORS, "--alpha", ALPHA, "--regularization", REGULARIZATION]
    weights, targets = implicit_terms(values)
    for name, flags in {"Cholesky": ["--cholesky"], "conjugate gradients": ["--cg-steps", 30]}.items():
        run(paceline, "als", "train", *settings, *flags, "--iterations", 2, "--out", "earlier", "--force")
        run(paceline, "als", "train", *settings, *flags, "--iterations", 3, "--resume", "earlier", "--out", "model", "--force")
        (_, earlier), (metadata, model) = read("earlier"), read("model")
        check_solved(f"users by {name}", model["user_factors"], solve(weights, targets, earlier["item_factors"]))
        check_solved(f"items by {name}", model["item_factors"], solve(weights.T, targets.T, model["user_factors"]))
        scores = model["user_factors"] @ model["item_factors"].T
        squares = (model["user_factors"] ** 2).sum() + (model["item_factors"] ** 2).sum()
        loss = (weights * (targets - scores) ** 2).sum() + REGULARIZATION * squares
        found = json.loads(metadata["losses"])[-1]
        assert found["iteration"] == 3 and abs(found["loss"] / loss - 1) < 1e-5, f"the loss is {loss}, and was said to be {found}"

    # implicit's confidence is its alpha × value where ours is 1 + alpha × value, so it is given the confidence itself.
    confidence = csr_matrix(np.where(values == 0, 0, np.sign(values) * weights))
    theirs = AlternatingLeastSquares(N_FACTORS, REGULARIZATION, alpha=1.0, use_cg=False, iterations=3, random_state=0)
    theirs.fit(confidence, show_progress=False)
    check_solved("items by implicit", theirs.item_factors, solve(weights.T, targets.T, theirs.user_factors.astype(float)))

    # LensKit has no meaning for values below 0.
    liked = table[table["value"] > 0].rename(columns={"user": "user_id", "item": "item_id", "value": "rating"})
    data = from_interactions_df(liked)
    theirs = ImplicitMFScorer(features=N_FACTORS, epochs=3, weight=ALPHA, regularization=REGULARIZATION, use_ratings=True)
    theirs.train(data)
    weights, targets = implicit_terms(data.interactions().matrix().scipy("rating").toarray())
    check_solved("items by LensKit", theirs.item_embeddings, solve(weights.T, targets.T, theirs.user_embeddings.astype(float)))


def check_explicit_equations(paceline: str) -> None:
    write_ratings("ratings.parquet", "ratings-test.parquet")
    data = from_interactions_df(pd.read_parquet("ratings.parquet"))
    ratings = data.interactions().matrix().scipy("rating").toarray()
    rated = (ratings > 0).astype(float)
    settings = ["--explicit", "--data", "ratings.parquet", "--factors", N_FACTORS, "--damping", DAMPING]
    settings += ["--regularization", REGULARIZATION_OF_RATINGS]
    run(paceline, "als", "train", *settings, "--cholesky", "--iterations", 1, "--out", "earlier", "--force")
    run(paceline, "als", "train", *settings, "--cholesky", "--iterations", 6, "--resume", "earlier", "--out", "model", "--force")
    (_, earlier), (metadata, model) = read("earlier"), read("model")

    biases = BiasScorer(damping=DAMPING)
    biases.train(data)
    theirs = {"user_bias": biases.model_.user_biases + biases.model_.global_bias, "item_bias": biases.model_.item_biases}
    for name, expected in theirs.items():
        assert np.allclose(model[name], expected, rtol=0, atol=1e-6), f"{name}: differs from LensKit's"
    left = ratings - model["user_bias"][:, None] - model["item_bias"][None, :]

    items = earlier["item_factors"]
    for _ in range(5):
        users, _ = solve(rated, left, items, by_ratings=True)
        items, _ = solve(rated.T, left.T, users, by_ratings=True)
    difference = np.abs(users @ items.T - model["user_factors"] @ model["item_factors"].T).max()
    assert difference < 1e-4, f"after five iterations ratings differ by {difference}"
    print(f"five iterations on ratings: equal to NumPy within {difference:.1e}; biases equal to LensKit's")
    check_solved("items by ratings", model["item_factors"], solve(rated.T, left.T, model["user_factors"], by_ratings=True))
    penalty = REGULARIZATION_OF_RATINGS * ((rated.sum(1) * (users**2).sum(1)).sum() + (rated.sum(0) * (items**2).sum(1)).sum())
    loss, found = (rated * (left - users @ items.T) ** 2).sum() + penalty, json.loads(metadata["losses"])[-1]["loss"]
    assert abs(found / loss - 1) < 1e-4, f"the loss is {loss}, and was said to be {found}"

    theirs = BiasedMFScorer(features=N_FACTORS, epochs=3, regularization=REGULARIZATION_OF_RATINGS, damping=DAMPING)
    theirs.train(data)
    solved = solve(rated.T, left.T, theirs.user_embeddings.astype(float), by_ratings=True)
    check_solved("items by LensKit, by ratings", theirs.item_embeddings, solved)


def id_array(ids: pd.Index) -> np.ndarray:
    texts = np.char.encode(np.asarray(ids).astype(str), "utf-8")
    return texts.view(np.uint8).reshape(len(texts), -1)


def learn_by_implicit(train: str, seed: int, model: str) -> None:
    table = pd.read_parquet(train)
    users, items = (table[column].astype("category").cat for column in ["user", "item"])
    confidence = csr_matrix((np.full(len(table), 1 + HELD_OUT_ALPHA, dtype=np.float32), (users.codes, items.codes)))
    confidence.sort_indices()
    als = AlternatingLeastSquares(**HELD_OUT, alpha=1.0, random_state=seed)
    als.fit(confidence, show_progress=False)
    arrays = {"user_factors": als.user_factors, "item_factors": als.item_factors}
    arrays |= {"user_ids": id_array(users.categories), "item_ids": id_array(items.categories)}
    save_file(arrays | {"seen_indptr": confidence.indptr.astype(np.int64), "seen_indices": confidence.indices}, model)


def check_held_out(paceline: str, debian_needs: Path) -> None:
    def ndcg(model: str) -> float:
        run(paceline, "recommend", "--model", model, "--users", "test.parquet", "--top", TOP, "--out", "lists.parquet", "--force")
        measured = ["--at", TOP, "--metrics", "ndcg", "--out", "users.parquet", "--force"]
        run(paceline, "evaluate", "--lists", "lists.parquet", "--truth", "test.parquet", *measured)
        return pd.read_parquet("users.parquet")[f"ndcg@{TOP}"].mean()

    flags = [text for name, value in HELD_OUT.items() for text in (f"--{name}", value)]
    ours, theirs = [], []
    for seed in range(N_SPLITS):
        split = ["--method", "leave-n-out", "--n", 2, "--seed", seed, "--out-train", "train.parquet", "--out-test", "test.parquet"]
        run(paceline, "split", "--data", debian_needs, *split, "--force")
        learn_by_implicit("train.parquet", seed, "implicit")
        learn = ["--alpha", HELD_OUT_ALPHA, "--seed", seed, "--out", "model", "--force"]
        run(paceline, "als", "train", "--data", "train.parquet", *flags, *learn)
        ours.append(ndcg("model"))
        theirs.append(ndcg("implicit"))
    ours, theirs = np.array(ours), np.array(theirs)
    difference, error = (ours - theirs).mean(), (ours - theirs).std(ddof=1) / np.sqrt(N_SPLITS)
    means = [f"{name} {found.mean():.4f} (spread {found.std(ddof=1):.4f})" for name, found in [("paceline", ours), ("implicit", theirs)]]
    print(f"ndcg@{TOP} of {N_SPLITS} splits: {', '.join(means)}, difference {difference:+.4f} ± {error:.4f}")
    allowed = 0.01 * theirs.mean()
    assert abs(difference) < allowed, f"ndcg@{TOP}: {ours} by paceline, {theirs} by implicit"
    assert 3 * error < allowed, f"ndcg@{TOP}: {N_SPLITS} splits do not tell a difference of 1 %: {ours} by paceline, {theirs} by implicit"


def main(paceline: str, scratch: Path, debian_needs: Path) -> None:
    os.chdir(scratch)
    check_implicit_equations(paceline)
    check_explicit_equations(paceline)
    check_held_out(paceline, debian_needs)


if __name__ == "__main__":
    main(sys.argv[1], *(Path(path).resolve() for path in sys.argv[2:4]))
