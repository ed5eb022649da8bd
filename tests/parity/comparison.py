"""What the parity scripts of the forest share: a paceline forest used through its command line as if it were an estimator, and the test
whether two libraries differ by more than chance.

**The tolerance.** Both libraries are given the same split and the same settings k times, each time another split and another seed. The k
differences between their scores then vary by the draws of both forests alone: what is hard about a split is hard for both. If the
libraries are equally good, the mean difference over its standard error follows Student's t with k - 1 degrees of freedom. It must stay
within the quantile that chance exceeds once in `1 / FALSE_ALARM` comparisons. A larger spread over seeds thus allows more, and nothing is
picked by eye; k says how small a difference is noticed: 2.1 times the spread of a single one for k = 10, 1.7 times for k = 12.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from scipy import stats

# Some fifty comparisons are made: one in two hundred changes of the draws fails one of them by chance.
FALSE_ALARM = 1e-4


class Forest:
    """A paceline forest with flags of `forest train`; its files stand in a directory of its own."""

    def __init__(self, paceline: str, directory: Path, *flags: object) -> None:
        self.paceline, self.directory, self.flags = paceline, directory, flags
        self.directory.mkdir(parents=True, exist_ok=True)
        self.model = directory / "model.safetensors"

    def run(self, *arguments: object) -> None:
        subprocess.run([self.paceline, "run", "--output", "quiet", *map(str, arguments)], check=True, stderr=subprocess.PIPE)

    def fit(self, table: pd.DataFrame, seed: int) -> "Forest":
        """Learns the column `target` from the others."""
        train = self.directory / "train.parquet"
        table.to_parquet(train, index=False)
        self.run("--seed", seed, "forest", "train", "--data", train, "--target", "target", "--out", self.model, "--force", *self.flags)
        return self

    def predict(self, table: pd.DataFrame, *flags: object) -> pd.DataFrame:
        rows, out = self.directory / "rows.parquet", self.directory / "predictions.parquet"
        table.to_parquet(rows, index=False)
        self.run("forest", "predict", "--model", self.model, "--data", rows, "--out", out, "--force", *flags)
        return pd.read_parquet(out)

    def facts(self) -> tuple[dict, dict]:
        """Metadata and arrays of the model file."""
        with safe_open(self.model, "numpy") as file:
            return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}

    def oob_score(self) -> float:
        return float(self.facts()[0]["oob_score"])

    def importances(self) -> pd.Series:
        metadata, arrays = self.facts()
        return pd.Series(arrays["feature_importance"], index=[feature["name"] for feature in json.loads(metadata["features"])])


def split(table: pd.DataFrame, seed: int, n_train: int | None = None, n_test: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and rows held out; a third is held out where nothing else is said."""
    shuffled = table.sample(frac=1, random_state=seed)
    n_train = n_train or len(table) * 2 // 3
    return shuffled[:n_train], shuffled[n_train : n_train + n_test if n_test else len(table)]


def tolerance(differences: np.ndarray) -> float:
    """How far from 0 the mean of these differences may lie if they are chance."""
    quantile = stats.t.ppf(1 - FALSE_ALARM / 2, len(differences) - 1)
    return float(quantile * differences.std(ddof=1) / np.sqrt(len(differences)))


def check_equal(what: str, ours: list, theirs: list, may_be_better: bool = False) -> None:
    """Whether the libraries score the same but for chance; a score is better when it is larger."""
    ours, theirs = np.array(ours), np.array(theirs)
    difference, allowed = (ours - theirs).mean(), tolerance(ours - theirs)
    print(f"{what}: paceline {ours.mean():.4f}, scikit-learn {theirs.mean():.4f}, difference {difference:+.4f} of {allowed:.4f} allowed")
    assert difference >= -allowed, f"{what}: worse by {-difference:.4f}, {allowed:.4f} would be chance"
    assert may_be_better or difference <= allowed, f"{what}: another forest, better by {difference:.4f}, {allowed:.4f} would be chance"


def check_same_order(what: str, ours: list, theirs: list) -> None:
    """Whether importances rank the features alike: as much as two seeds of scikit-learn agree at the least."""
    rank_correlation = lambda a, b: stats.spearmanr(a, b).statistic
    between = np.mean([rank_correlation(a, b) for a in ours for b in theirs])
    within = [rank_correlation(theirs[i], theirs[j]) for i in range(len(theirs)) for j in range(i)]
    print(f"{what}: rank correlation {between:.3f}, between seeds of scikit-learn {min(within):.3f} to {max(within):.3f}")
    assert between >= min(within), f"{what}: importances rank the features in another order ({between:.3f}, {min(within):.3f} is usual)"
