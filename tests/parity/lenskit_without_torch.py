"""Lets LensKit be imported, train and recommend where torch is not installed, which takes gigabytes.

LensKit imports torch at its start and tells it how many threads to use; its metrics, and the scorers that are tested here, never compute
with it. The names that LensKit looks up on the way are put in torch's place; whatever else it asked torch for would fail."""

import sys
import types


def nothing(*_: object) -> None:
    """What there is to be done by a torch that never computes."""


def put_in_place(name: str, **names: object) -> types.ModuleType:
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)
    return sys.modules[name]


try:
    import torch  # noqa: F401
except ImportError:
    reductions = put_in_place("torch.multiprocessing.reductions", reduce_storage=None, reduce_tensor=None)
    multiprocessing = put_in_place("torch.multiprocessing", reductions=reductions, set_sharing_strategy=nothing)
    put_in_place(
        "torch",
        Tensor=type("Tensor", (), {}),
        jit=types.SimpleNamespace(ignore=lambda function: function),
        multiprocessing=multiprocessing,
        set_num_interop_threads=nothing,
        set_num_threads=nothing,
    )
