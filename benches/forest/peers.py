"""One peer, fitted and applied once in a process of its own, with arrays that are in memory before the clock starts.

Prints a line of JSON: seconds of the fit on the wall and on the processors, the peak of memory until then, rows predicted in a second,
score on the rows held out.
It knows the peers' libraries and nothing of paceline.

Usage: peers.py PEER SET_DIRECTORY N_TREES N_THREADS SEED
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from data import score


class Settings:
    """What every peer is told alike: leaves of one row, no limit of depth, the same number of features for every split."""

    def __init__(self, facts: dict, n_trees: int, n_threads: int, seed: int) -> None:
        self.is_regression = facts["task"] == "regression"
        self.n_features_per_split = facts["n_features_per_split"]
        self.n_features = facts["n_features"]
        self.n_trees, self.n_threads, self.seed = n_trees, n_threads, seed


def of_scikit_learn(ensemble, settings: Settings):
    kind = ensemble.RandomForestRegressor if settings.is_regression else ensemble.RandomForestClassifier
    return kind(n_estimators=settings.n_trees, max_features=settings.n_features_per_split, n_jobs=settings.n_threads,
                random_state=settings.seed)  # fmt: skip


def scikit_learn(settings: Settings):
    from sklearn import ensemble

    return of_scikit_learn(ensemble, settings)


def sklearnex(settings: Settings):
    from sklearnex import ensemble

    return of_scikit_learn(ensemble, settings)


class Ydf:
    """YDF, on columns by name; mixed leaves vote by their shares, as with the others."""

    def __init__(self, settings: Settings) -> None:
        import ydf

        ydf.verbose(0)
        self.settings = settings
        self.learner = ydf.RandomForestLearner(
            label="target", task=ydf.Task.REGRESSION if settings.is_regression else ydf.Task.CLASSIFICATION, num_trees=settings.n_trees,
            num_candidate_attributes=settings.n_features_per_split, max_depth=-1, min_examples=1, winner_take_all=False,
            compute_oob_performances=False, num_threads=settings.n_threads, random_seed=settings.seed)  # fmt: skip

    @staticmethod
    def columns(x: np.ndarray) -> dict:
        return {f"f{feature}": x[:, feature] for feature in range(x.shape[1])}

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        target = y if self.settings.is_regression else y.astype(np.int64)
        self.model = self.learner.train(self.columns(x) | {"target": target}, verbose=0)

    def predict(self, x: np.ndarray) -> np.ndarray:
        found = self.model.predict(self.columns(x), num_threads=self.settings.n_threads)
        if self.settings.is_regression:
            return found
        classes = np.array([int(label) for label in self.model.label_classes()])
        return classes[(found > 0.5).astype(int)] if found.ndim == 1 else classes[found.argmax(axis=1)]


class LightGbm:
    """LightGBM's forest mode. It draws rows without replacement and stops at a number of leaves; as near as it comes to the others."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        import lightgbm

        settings, n_classes = self.settings, int(y.max()) + 1
        objective = {"objective": "regression"} if settings.is_regression else {"objective": "multiclass", "num_class": n_classes}
        parameters = objective | {
            "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.632, "num_leaves": min(len(x), 131_072), "min_data_in_leaf": 1,
            "feature_fraction_bynode": settings.n_features_per_split / settings.n_features, "min_sum_hessian_in_leaf": 0,
            "num_threads": settings.n_threads, "seed": settings.seed, "verbosity": -1}  # fmt: skip
        self.model = lightgbm.train(parameters, lightgbm.Dataset(x, y), num_boost_round=settings.n_trees)

    def predict(self, x: np.ndarray) -> np.ndarray:
        found = self.model.predict(x, num_threads=self.settings.n_threads)
        return found if self.settings.is_regression else found.argmax(axis=1)


PEERS = {"scikit-learn": scikit_learn, "sklearnex": sklearnex, "ydf": Ydf, "lightgbm": LightGbm}


def main(peer: str, directory: Path, n_trees: int, n_threads: int, seed: int) -> None:
    facts = json.loads((directory / "facts.json").read_text())
    load = lambda name: np.load(directory / f"{name}.npy")
    x_train, y_train = load("x_train"), load("y_train")
    forest = PEERS[peer](Settings(facts, n_trees, n_threads, seed))
    wall, cpu = time.perf_counter(), time.process_time()
    forest.fit(x_train, y_train)
    fit_s, fit_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    x_predict = np.tile(load("x_test"), (facts["n_predict"] // facts["n_test"], 1))
    wall, cpu = time.perf_counter(), time.process_time()
    predicted = forest.predict(x_predict)
    predict_s, predict_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"fit_s": fit_s, "fit_cpu_s": fit_cpu_s, "peak_mb": peak_mb, "predict_rows_per_s": len(x_predict) / predict_s,
                      "predict_cpu_s": predict_cpu_s, "score": score(load("y_test"), predicted[: facts["n_test"]])}))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6]))
