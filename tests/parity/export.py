"""Exported forests beside `forest predict`, on real flights: JSON walked and arrays applied by the programs that docs/model-export.md
shows, arrays in scikit-learn's own tree, ONNX checked by onnx and run by ONNX Runtime.

Usage: export.py PACELINE_BINARY FLIGHTS_PARQUET SCRATCH_DIRECTORY MODEL_EXPORT_MD
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import helper, numpy_helper
from sklearn.tree._tree import NODE_DTYPE, Tree

N_TRAIN, N_TEST, N_TREES = 6_000, 40_000, 20
# Walked in plain Python, so only a few.
N_WALKED = 300
N_THREADS = [1, 2]


class Exported:
    """A forest, its predictions and leaves, and its exports as docs/model-export.md uses them, in a directory of its own."""

    def __init__(self, paceline: str, programs: list[str], directory: Path, train: pd.DataFrame, test: pd.DataFrame, target: str, *flags):
        self.paceline, self.programs, self.directory, self.test = paceline, programs, directory, test
        directory.mkdir(parents=True)
        os.chdir(directory)
        train.to_parquet("train.parquet", index=False)
        test.to_parquet("test.parquet", index=False)
        self.run("run", "forest", "train", "--data", "train.parquet", "--target", target, "--trees", N_TREES, "--out", "model", *flags)
        predict = ["run", "forest", "predict", "--model", "model", "--data", "test.parquet"]
        self.run(*predict, "--leaves", "--out", "leaves.parquet")
        self.leaves = pd.read_parquet("leaves.parquet").to_numpy()
        self.run("model", "export", "model", "--format", "onnx", "--out", "flights.onnx")
        self.run("model", "export", "model", "--format", "json", "--out", "flights.json")
        self.json, self.onnx = self.program(0), self.program(2)
        self.is_classification = self.onnx["header"]["task"] == "classification"
        self.run(*predict, "--out", "predictions.parquet", *(["--proba"] if self.is_classification else []))
        predictions = pd.read_parquet("predictions.parquet")
        self.prediction = predictions["prediction"].to_numpy()
        self.outputs = predictions.filter(like="probability_").to_numpy() if self.is_classification else self.prediction[:, None]

    def run(self, *arguments: object) -> None:
        subprocess.run([self.paceline, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def program(self, number: int) -> dict:
        """A program of the page, run in the present directory."""
        names = {}
        exec(self.programs[number], names)
        return names

    def check_json(self) -> None:
        matrix = self.onnx["matrix"](self.test.iloc[:N_WALKED])
        for row, values in enumerate(matrix):
            values = [None if np.isnan(value) else value for value in values]
            trees = self.json["forest"]["trees"]
            assert [self.json["leaf_of"](tree, values) for tree in trees] == list(self.leaves[row]), f"row {row}: leaves differ"
            assert self.json["predict"](values) == list(self.outputs[row]), f"row {row}: predictions differ"

    def check_onnx(self) -> None:
        onnx.checker.check_model("flights.onnx", full_check=True)
        matrix = self.onnx["matrix"](self.test)
        assert np.isnan(matrix).any(), "the data has missing values"
        for n_threads in N_THREADS:
            session = session_of("flights.onnx", n_threads)
            # One row, few and many are shared out to threads in different ways.
            for n_rows in [1, 30, len(matrix)]:
                found = session.run(None, {"features": matrix[:n_rows]})
                if self.is_classification:
                    assert (found[1] == self.outputs[:n_rows]).all(), "probabilities differ"
                    assert (found[0] == self.prediction[:n_rows]).all(), "classes differ"
                    continue
                # Two sums of T doubles, each rounded T - 1 times, and two quotients, each rounded once.
                tolerance = 0.0 if n_threads == 1 else 2 * N_TREES * 2.0**-53 * np.abs(self.prediction[:n_rows])
                assert (np.abs(found[0] - self.prediction[:n_rows]) <= tolerance).all(), "numbers differ"

    def check_onnx_leaves(self) -> None:
        """The same operator with the leaves' numbers for weights, one target a tree, must name the leaves of `--leaves`."""
        model = onnx.load("flights.onnx")
        node = model.graph.node[0]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        numbers, trees = [], []
        for tree_idx, tree in enumerate(self.json["forest"]["trees"]):
            inner, stack = [], [0]
            while stack:
                at = stack.pop()
                if "left" in tree[at]:
                    stack += [tree[at]["right"], tree[at]["left"]]
                else:
                    inner.append(at)
            numbers += inner
            trees += [tree_idx] * len(inner)
        assert len(numbers) == len(attributes["leaf_targetids"]), "the forest has one layer"
        attributes.update(n_targets=N_TREES, leaf_targetids=trees, leaf_weights=numpy_helper.from_array(np.array(numbers, dtype=np.float64)))
        operator = helper.make_node("TreeEnsemble", ["features"], ["leaves"], domain="ai.onnx.ml", **attributes)
        output = helper.make_tensor_value_info("leaves", onnx.TensorProto.DOUBLE, [None, N_TREES])
        graph = helper.make_graph([operator], "leaves", model.graph.input, [output])
        onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version), "leaves.onnx")
        (found,) = session_of("leaves.onnx", 2).run(None, {"features": self.onnx["matrix"](self.test)})
        assert (found == self.leaves).all(), "rows come to other leaves"

    def check_arrays(self) -> None:
        self.run("model", "export", "model", "--format", "arrays", "--out", "flights.npz")
        names, matrix = self.program(1), self.onnx["matrix"](self.test)
        assert (names["predict"](matrix) == self.outputs).all(), "predictions differ"
        arrays, offsets = dict(names["arrays"]), names["offsets"]
        n_outputs = arrays["value"].shape[2]
        for tree_idx in range(N_TREES):
            part = slice(offsets[tree_idx], offsets[tree_idx + 1])
            nodes = np.zeros(offsets[tree_idx + 1] - offsets[tree_idx], dtype=NODE_DTYPE)
            for field, name in [("left_child", "children_left"), ("right_child", "children_right"), ("feature", "feature"),
                                ("threshold", "threshold"), ("missing_go_to_left", "missing_go_to_left")]:  # fmt: skip
                nodes[field] = arrays[name][part]
            tree = Tree(matrix.shape[1], np.array([n_outputs], dtype=np.intp), 1)
            tree.__setstate__({"max_depth": 1, "node_count": len(nodes), "nodes": nodes, "values": arrays["value"][part].copy()})
            # scikit-learn takes rows in single precision; the test's are exact in it.
            assert (tree.apply(matrix.astype(np.float32)) == self.leaves[:, tree_idx]).all(), "scikit-learn comes to other leaves"

    def check_arrays_refused(self, feature: str) -> None:
        arguments = ["model", "export", "model", "--format", "arrays", "--out", "flights.npz"]
        ended = subprocess.run([self.paceline, *arguments], capture_output=True, text=True)
        assert ended.returncode == 2 and feature in ended.stderr, ended.stderr
        assert not Path("flights.npz").exists()


def session_of(path: str, n_threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    return onnxruntime.InferenceSession(path, options)


def few_levels(n_rows: int) -> pd.DataFrame:
    """Two columns of six levels and little else, so that trees split on the same column again and again. The seed is one of those
    where ONNX Runtime mixes two such splits up unless they are kept apart, which takes a chance equality of numbers."""
    rng = np.random.default_rng(8)
    columns = {"letter": rng.choice(list("abcdef"), n_rows), "other": rng.choice(list("uvwxyz"), n_rows)}
    table = pd.DataFrame(columns).assign(heat_index=rng.normal(size=n_rows))
    target = np.where(table.heat_index + rng.normal(size=n_rows) + (table.letter == "b") > 0, "u", "v")
    is_known = (np.arange(n_rows) < N_TRAIN) | (rng.random(n_rows) > 0.02)
    return table.assign(letter=table.letter.where(is_known), target=target)


def main(paceline: str, flights: Path, scratch: Path, page: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(programs) == 3, "json, arrays, onnx"
    table = pd.read_parquet(flights).sample(N_TRAIN + N_TEST, random_state=0)
    # A feature in double precision, so that thresholds are not exact in single precision; the rows to be predicted are.
    table["heat_index"] = table.temperature_f.astype("float64") * table.humidity_percent / 97
    numbers = table[[name for name in table.columns if table[name].dtype.kind in "fiu"]]

    def exported(name: str, table: pd.DataFrame, target: str, *flags: object) -> Exported:
        test = table[N_TRAIN:].assign(heat_index=table.heat_index[N_TRAIN:].astype("float32"))
        made = Exported(paceline, programs, scratch / name, table[:N_TRAIN], test, target, *flags)
        made.check_json()
        made.check_onnx()
        print(f"{name}: {len(made.test)} rows equal")
        return made

    exported("outcome-by-numbers", numbers.assign(outcome=table.outcome), "outcome").check_arrays()
    exported("outcome-mixed-leaves", numbers.assign(outcome=table.outcome), "outcome", "--min-samples-leaf", 20).check_arrays()
    exported("outcome-by-all", table, "outcome", "--min-samples-leaf", 3).check_arrays_refused("weekday")
    exported("month", numbers, "month", "--task", "classification")
    exported("was-late", numbers.assign(was_late=table.outcome != "on time"), "was_late")
    exported("few-levels", few_levels(N_TRAIN + N_TEST), "target")
    warm = table[table.temperature_f.notna()]
    made = exported("temperature-by-all", warm, "temperature_f")
    made.check_onnx_leaves()
    made = exported("temperature-by-numbers", numbers.loc[warm.index], "temperature_f", "--extra-trees")
    made.check_onnx_leaves()
    made.check_arrays()


if __name__ == "__main__":
    main(sys.argv[1], *(Path(path).resolve() for path in sys.argv[2:5]))
