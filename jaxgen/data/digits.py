"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: embedded, so they need no network."""

import numpy as np

from jaxgen.data.checks import make_dataset
from jaxgen.spec import DataSpec
from jaxgen.types import Dataset


def load_digits(spec: DataSpec) -> Dataset:
    """Reads the test part of the UCI pen-free digits (Alpaydin and Kaynak 1998) as scikit-learn ships it."""
    from sklearn import datasets

    digits = datasets.load_digits()
    return make_dataset("digits", digits.images.astype(np.uint8), digits.target, source="digits", scale=1 / 16)
