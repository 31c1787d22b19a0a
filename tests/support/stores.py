"""Plans and stores of runs that were never trained."""

import numpy as np

from jaxgen.runs.plan import Plan
from jaxgen.runs.store import open_store

IDENTITY = {"--seed": "0", "--epochs": "3"}


def plan(runs=10, **changes):
    return Plan({**IDENTITY, **changes}, {"a": runs, "b": runs})


def store(folder, **options):
    return open_store(folder / "store", plan(**options), 0)


def rows(chunk, finite=True):
    """Arrays that tell their runs apart."""
    runs = np.arange(chunk.start, chunk.stop)
    bits = (runs[:, None] * np.arange(3)).astype(np.uint8)
    return {"run": runs, "bits": bits, "loss": runs / 7, "finite": np.full(len(runs), finite)}
