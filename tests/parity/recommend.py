"""Recommendations of paceline beside plain NumPy on the same factors: written by any Python script, read back by pandas.

Usage: recommend.py PACELINE_BINARY SCRATCH_DIRECTORY
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

N_USERS, N_ITEMS, N_FACTORS, TOP = 500, 3_000, 48, 20
# Sums of 48 products in single precision differ by their order; equal scores within this may swap places.
TOLERANCE = 2e-5


def text_ids(prefix: str, n: int) -> np.ndarray:
    """Fixed-width UTF-8, one row an id, as docs/model-format.md describes."""
    fixed = np.array([f"{prefix}-{i}" for i in range(n)], dtype="S")
    return fixed.view(np.uint8).reshape(n, fixed.dtype.itemsize)


def main(paceline: str, scratch: Path) -> None:
    rng = np.random.default_rng(7)
    arrays = {
        "user_factors": rng.standard_normal((N_USERS, N_FACTORS), dtype=np.float32),
        "item_factors": rng.standard_normal((N_ITEMS, N_FACTORS), dtype=np.float32),
        "user_bias": rng.standard_normal(N_USERS, dtype=np.float32),
        "item_bias": rng.standard_normal(N_ITEMS, dtype=np.float32),
    }
    seen = pd.DataFrame({"user": np.repeat(np.arange(N_USERS), 30), "item": rng.integers(0, N_ITEMS, N_USERS * 30)})
    exact = arrays["user_factors"].astype(np.float64) @ arrays["item_factors"].T.astype(np.float64)
    exact += arrays["user_bias"][:, None] + arrays["item_bias"][None, :]
    exact[seen.user, seen.item] = -np.inf

    for name, ids in [("index", False), ("text", True)]:
        model, out, seen_file = scratch / f"{name}.safetensors", scratch / f"{name}.parquet", scratch / f"{name}.csv"
        extra = {"user_ids": text_ids("u", N_USERS), "item_ids": text_ids("i", N_ITEMS)} if ids else {}
        save_file(arrays | extra, model)
        pairs = seen.assign(user="u-" + seen.user.astype(str), item="i-" + seen.item.astype(str)) if ids else seen
        pairs.to_csv(seen_file, index=False)
        command = ["run", "recommend", "--model", model, "--seen", seen_file, "--top", str(TOP), "--out", out]
        subprocess.run([paceline, *command], check=True)
        found = pd.read_parquet(out)
        assert list(found.columns) == ["user", "item", "rank", "score"], found.columns
        if ids:
            found = found.assign(user=found.user.str[2:].astype(int), item=found.item.str[2:].astype(int))
        assert len(found) == N_USERS * TOP, len(found)
        assert (found.user.to_numpy() == np.repeat(np.arange(N_USERS), TOP)).all(), "users are in order"
        assert (found["rank"].to_numpy() == np.tile(np.arange(1, TOP + 1), N_USERS)).all(), "ranks are in order"
        users, items = found.user.to_numpy(), found.item.to_numpy()
        assert np.abs(found.score.to_numpy() - exact[users, items]).max() < TOLERANCE, "scores differ"
        best = -np.sort(-exact, axis=1)[:, :TOP].ravel()
        assert np.abs(best - exact[users, items]).max() < TOLERANCE, "a better item was left out"
        assert not found.duplicated(["user", "item"]).any()
    print(f"{N_USERS} users, top {TOP} of {N_ITEMS} items: equal to NumPy within {TOLERANCE}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
