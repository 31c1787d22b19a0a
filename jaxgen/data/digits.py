"""scikit-learn's 1,797 handwritten digits of 8x8 pixels, which need no download."""

import importlib.util
import pathlib

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.types import Dataset


def load_digits(spec: DataSpec) -> Dataset:
    """Reads the test part of the UCI pen-free digits (Alpaydin and Kaynak 1998) as scikit-learn ships it."""
    table = read_table()
    images = table[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    return make_dataset("digits", images, table[:, -1].astype(int), source="digits", scale=1 / 16)


def read_table() -> np.ndarray:
    """A row for each digit, its class last; from the file if found, as importing scikit-learn takes seconds."""
    package = importlib.util.find_spec("sklearn")
    path = pathlib.Path((package and package.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits as load

    digits = load()
    return np.column_stack([digits.data, digits.target])
