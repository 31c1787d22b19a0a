"""Corrupted copies of a data set's images, as stored values."""

import jax
import numpy as np

from jaxgen.transforms.corruptions import corrupt_in_batches
from jaxgen.transforms.corruptions.constants import Kind
from jaxgen.types import Dataset

# From so many pixels a side on, the constants are those of ImageNet's size.
LARGE_SIDE = 64


def constants_for(dataset: Dataset) -> Kind:
    """Whose constants of corruptions suit images of this size."""
    return "imagenet" if min(dataset.images.shape[1:3]) >= LARGE_SIDE else "small"


def corrupt(
    name: str, key: jax.Array, dataset: Dataset, images: np.ndarray, severity: int, constants: Kind = "small"
) -> np.ndarray:
    """Stored images under a corruption, in the type and on the scale that they have."""
    found = corrupt_in_batches(name, key, as_pixels(dataset, images), severity=severity, constants=constants)
    return as_stored(dataset, found)


def as_pixels(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Stored images as float32 in [0, 1]."""
    return images.astype(np.float32) * np.float32(dataset.scale)


def as_stored(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] in the type and on the scale that the data's images have."""
    found, kind = values / np.float32(dataset.scale), dataset.images.dtype
    return np.rint(found).astype(kind) if kind == np.uint8 else found.astype(kind)


def bytes_as_stored(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """uint8 images, white at 255 whatever it is in the data, in the type and on the scale that the data's have."""
    return as_stored(dataset, np.arange(256, dtype=np.float32) / 255)[images]
