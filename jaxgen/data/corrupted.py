"""Corrupted copies of a data set's images, as stored values."""

import jax
import numpy as np

from jaxgen.transforms.corruptions import corrupt_in_batches
from jaxgen.transforms.corruptions.constants import Kind
from jaxgen.types import Dataset

# Images of at least this side, in pixels, take the constants of ImageNet-C.
LARGE_SIDE = 64


def constants_for(dataset: Dataset) -> Kind:
    """The corruption constants for images of this size."""
    return "imagenet" if min(dataset.images.shape[1:3]) >= LARGE_SIDE else "small"


def corrupt(
    name: str, key: jax.Array, dataset: Dataset, images: np.ndarray, severity: int, constants: Kind = "small"
) -> np.ndarray:
    """Corrupted copies of stored images, in the same type and on the same scale."""
    pixels = corrupt_in_batches(name, key, as_pixels(dataset, images), severity=severity, constants=constants)
    return as_stored(dataset, pixels)


def as_pixels(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Stored images as float32 in [0, 1]."""
    return images.astype(np.float32) * np.float32(dataset.scale)


def as_stored(dataset: Dataset, pixels: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] in the data set's stored type and scale."""
    values, dtype = pixels / np.float32(dataset.scale), dataset.images.dtype
    return np.rint(values).astype(dtype) if dtype == np.uint8 else values.astype(dtype)


def bytes_as_stored(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """uint8 images with white at 255 in the data set's stored type and scale."""
    return as_stored(dataset, np.arange(256, dtype=np.float32) / 255)[images]
