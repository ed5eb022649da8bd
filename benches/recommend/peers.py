"""Other ways to the same, each in a process of its own: prints its figures as JSON on the last line.

Usage: peers.py sgemm
       peers.py score implicit|numpy MODEL N_LISTED [USERS]
       peers.py als TRAIN N_FACTORS N_ITERATIONS REGULARIZATION ALPHA SEED [LISTS]

Every peer runs with 2 threads. OpenBLAS gets its AVX-512 kernels where the processor has them: on some it would choose slower ones.
"""

import json
import os
import sys
import time
from pathlib import Path

N_THREADS = 2
BLOCK_OF_USERS = 256
# One thread of BLAS for each of ours, but for the product that measures the machine.
os.environ["OPENBLAS_NUM_THREADS"] = str(N_THREADS if sys.argv[1] == "sgemm" else 1)
os.environ["OMP_NUM_THREADS"] = str(N_THREADS)
if "avx512f" in Path("/proc/cpuinfo").read_text():
    os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from safetensors import safe_open  # noqa: E402
from scipy import sparse  # noqa: E402


def sgemm() -> dict:
    n = 4096
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
    product = np.empty((n, n), np.float32)
    np.matmul(a, b, out=product)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        np.matmul(a, b, out=product)
        best = min(best, time.perf_counter() - begin)
    return {"gflops": 2e-9 * n**3 / best}


def read_model(path: str) -> tuple:
    with safe_open(path, "numpy") as file:
        return tuple(file.get_tensor(name) for name in ("user_factors", "item_factors", "seen_indptr", "seen_indices"))


def seen_rows(users: np.ndarray, indptr: np.ndarray, indices: np.ndarray, n_items: int) -> sparse.csr_matrix:
    whole = sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(indptr) - 1, n_items))
    return whole if len(users) == whole.shape[0] else whole[users]


def score_by_implicit(model: str, n_listed: int, users: np.ndarray | None) -> float:
    from implicit.cpu.als import AlternatingLeastSquares

    user_factors, item_factors, indptr, indices = read_model(model)
    users = np.arange(len(user_factors)) if users is None else users
    seen = seen_rows(users, indptr, indices, len(item_factors))
    learner = AlternatingLeastSquares(factors=user_factors.shape[1], num_threads=N_THREADS)
    learner.user_factors, learner.item_factors = user_factors, item_factors
    begin = time.perf_counter()
    learner.recommend(users, seen, N=n_listed, filter_already_liked_items=True)
    return time.perf_counter() - begin


def score_by_numpy(model: str, n_listed: int, users: np.ndarray | None) -> float:
    """A product of a block of users with all items, and a partial sort, in a pool of threads."""
    from concurrent.futures import ThreadPoolExecutor

    user_factors, item_factors, indptr, indices = read_model(model)
    users = np.arange(len(user_factors)) if users is None else users
    seen = seen_rows(users, indptr, indices, len(item_factors))
    listed = np.empty((len(users), n_listed), np.int32)

    def score(start: int) -> None:
        block = slice(start, min(start + BLOCK_OF_USERS, len(users)))
        scores = user_factors[users[block]] @ item_factors.T
        taken = seen[block]
        scores[np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr)), taken.indices] = -np.inf
        best = np.argpartition(scores, scores.shape[1] - n_listed, axis=1)[:, -n_listed:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        listed[block] = np.take_along_axis(best, order, 1)

    begin = time.perf_counter()
    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(score, range(0, len(users), BLOCK_OF_USERS)))
    return time.perf_counter() - begin


def score(peer: str, model: str, n_listed: int, users: str | None) -> dict:
    chosen = None if users is None else pd.read_parquet(users).user.to_numpy()
    by = {"implicit": score_by_implicit, "numpy": score_by_numpy}[peer]
    return {"score_s": by(model, n_listed, chosen)}


def als(train: str, n_factors: int, n_iterations: int, regularization: float, alpha: float, seed: int, lists: str | None) -> dict:
    """`implicit` takes as confidence what stands in the matrix: 1 + alpha * value, as paceline has it."""
    from implicit.cpu.als import AlternatingLeastSquares

    table = pd.read_parquet(train)
    users, items = (np.unique(table[side], return_inverse=True) for side in ("user", "item"))
    column = next((name for name in ("value", "rating") if name in table), None)
    values = np.ones(len(table)) if column is None else table[column].to_numpy()
    confidence = (1 + alpha * values).astype(np.float32)
    matrix = sparse.csr_matrix((confidence, (users[1], items[1])), shape=(len(users[0]), len(items[0])))
    learner = AlternatingLeastSquares(factors=n_factors, iterations=n_iterations, regularization=regularization, num_threads=N_THREADS,
                                      random_state=seed)  # fmt: skip
    seconds, cpu, last = [], [], [time.process_time()]

    def note(_iteration: int, elapsed: float, *_loss: object) -> None:
        seconds.append(elapsed)
        cpu.append(time.process_time() - last[0])
        last[0] = time.process_time()

    learner.fit(matrix, show_progress=False, callback=note)
    if lists is not None:
        found, scores = learner.recommend(np.arange(len(users[0])), matrix, N=10, filter_already_liked_items=True)
        columns = {"user": np.repeat(users[0], 10), "item": items[0][found.ravel()], "score": scores.ravel()}
        pd.DataFrame(columns).to_parquet(lists, index=False)
    return {"iteration_s": float(np.median(seconds)), "iteration_cpu_s": float(np.median(cpu))}


def main(arguments: list) -> dict:
    match arguments:
        case ["sgemm"]:
            return sgemm()
        case ["score", peer, model, n_listed, *users]:
            return score(peer, model, int(n_listed), *(users or [None]))
        case ["als", train, n_factors, n_iterations, regularization, alpha, seed, *lists]:
            settings = (int(n_factors), int(n_iterations), float(regularization), float(alpha), int(seed))
            return als(train, *settings, *(lists or [None]))
    raise SystemExit(__doc__)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
