"""Makes debian-needs.parquet and debian.safetensors from Debian's package index: which package needs which, and a factor model of it.

Usage: apt-cache dumpavail | python make_debian.py OUT_DIRECTORY   (needs numpy, pandas, pyarrow, safetensors)

A user is a package, an item is a package that it depends on or recommends. The model is alternating least squares on implicit feedback
(Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", 2008) in plain NumPy. The same index gives the same
pairs; factors agree to rounding between versions of NumPy.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

# Packages that need few others, and those that few others need, tell too little to learn from.
MIN_NEEDS, MIN_NEEDED_BY = 8, 8
N_FACTORS, N_SWEEPS, REGULARIZATION, CONFIDENCE = 32, 12, 0.05, 20.0


def read_pairs(lines) -> pd.DataFrame:
    pairs, package = [], ""
    for line in lines:
        field, _, value = line.rstrip("\n").partition(": ")
        if field == "Package":
            package = value
        elif field in ("Depends", "Pre-Depends", "Recommends"):
            # "a (>= 1) | b, c:any": each alternative counts; versions and architectures do not matter here.
            names = re.sub(r"\([^)]*\)|\[[^]]*\]|:\w+", "", value).replace("|", ",").split(",")
            pairs += [(package, name.strip()) for name in names]
    table = pd.DataFrame(pairs, columns=["user", "item"]).drop_duplicates()
    return table.sort_values(["user", "item"], ignore_index=True)


def select(pairs: pd.DataFrame) -> pd.DataFrame:
    """Drops sparse users and items until none is left."""
    while True:
        enough = (pairs.groupby("user").item.transform("size") >= MIN_NEEDS) & (pairs.groupby("item").user.transform("size") >= MIN_NEEDED_BY)
        if enough.all():
            return pairs.reset_index(drop=True)
        pairs = pairs[enough]


def half_sweep(rows: list[np.ndarray], fixed: np.ndarray) -> np.ndarray:
    gram = fixed.T @ fixed + REGULARIZATION * np.eye(N_FACTORS)
    solved = np.zeros((len(rows), N_FACTORS))
    for i, columns in enumerate(rows):
        chosen = fixed[columns]
        solved[i] = np.linalg.solve(gram + CONFIDENCE * chosen.T @ chosen, (1 + CONFIDENCE) * chosen.sum(axis=0))
    return solved


def fixed_width(names: pd.Index) -> np.ndarray:
    """UTF-8 names padded with zeros to one width: one row of bytes a name."""
    padded = np.array([name.encode() for name in names], dtype="S")
    return padded.view(np.uint8).reshape(len(padded), padded.dtype.itemsize)


def themselves(users: pd.Index, items: pd.Index) -> dict[str, np.ndarray]:
    """A package needs itself, but nobody has to be told: the seen items of each user are itself, where it is an item at all."""
    own = items.get_indexer(users)
    return {"seen_indptr": np.concatenate([[0], np.cumsum(own >= 0)]).astype(np.int64), "seen_indices": own[own >= 0].astype(np.int32)}


def main(directory: Path) -> None:
    pairs = select(read_pairs(sys.stdin))
    user_codes, users = pd.factorize(pairs.user, sort=True)
    item_codes, items = pd.factorize(pairs.item, sort=True)
    of_user = [pairs_of for _, pairs_of in pd.Series(item_codes).groupby(user_codes)]
    of_item = [pairs_of for _, pairs_of in pd.Series(user_codes).groupby(item_codes)]
    of_user, of_item = [r.to_numpy() for r in of_user], [r.to_numpy() for r in of_item]
    item_factors = np.random.default_rng(1).standard_normal((len(items), N_FACTORS)) * 0.1
    for _ in range(N_SWEEPS):
        user_factors = half_sweep(of_user, item_factors)
        item_factors = half_sweep(of_item, user_factors)
    pairs.to_parquet(directory / "debian-needs.parquet", index=False, compression="zstd", compression_level=19)
    model = {
        "user_factors": user_factors.astype(np.float32),
        "item_factors": item_factors.astype(np.float32),
        "user_ids": fixed_width(users),
        "item_ids": fixed_width(items),
    }
    model |= themselves(users, items)
    save_file(model, directory / "debian.safetensors")
    print(f"{len(users)} users, {len(items)} items, {len(pairs)} pairs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
