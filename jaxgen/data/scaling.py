"""Values as they are stored: images in [0, 1] once scaled, columns of features standardized."""

from typing import Any

import numpy as np

from jaxgen.errors import UserError

# Images whose bytes all are below are scaled by their largest value: they were never meant to go up to 255.
DIM = 64
# How far images in [0, 1] may go beyond, as rounding and resizing let them.
OVERSHOOT = 1e-3
# Test images whose values are so many times smaller or larger than those of training images are on another scale.
OTHER_SCALE = 16
# Rows that are rescaled at once: they take a few times their room meanwhile.
ROWS_AT_ONCE = 4096


def scale_values(
    images: np.ndarray, test_images: np.ndarray | None, scale: float | None, source: str, impute: str = "none"
) -> tuple[np.ndarray, np.ndarray | None, float, Any, Any]:
    """Stored training and test values, the scale still to be applied, and the shift and spread applied already."""
    if images.ndim == 4 and test_images is not None:
        check_alike(images, test_images, source)
    if images.ndim == 4 and images.dtype == np.uint8:
        return images, test_images, byte_scale(images) if scale is None else scale, 0.0, 1.0
    if images.ndim == 2:
        images, test_images = (fill_missing(values, images, impute) for values in (images, test_images))
    with np.errstate(over="ignore", invalid="ignore"):
        shift, spread = column_scale(images) if images.ndim == 2 else image_scale(images)
        stored = [None if values is None else rescale(values, shift, spread) for values in (images, test_images)]
    for values in (shift, spread, *stored):
        if values is not None and not np.isfinite(values).all():
            raise UserError(f"{source}: holds numbers too large to be scaled; bring them to a common range")
    return stored[0], stored[1], 1.0, shift, spread


def fill_missing(features: np.ndarray | None, by: np.ndarray, impute: str) -> np.ndarray | None:
    """Features with NaN replaced by the mean or median of their column in `by`, or by 0 where that has no value."""
    if features is None or impute == "none" or features.dtype.kind != "f" or not np.isnan(features).any():
        return features
    return np.where(np.isnan(features), fill_values(by, impute), features)


def fill_values(features: np.ndarray, impute: str) -> np.ndarray:
    """The mean or median of the values that each column has, 0 where it has none; ``[f]``."""
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(strategy=impute, keep_empty_features=True).fit(features.astype(np.float64, copy=False))
    return imputer.transform(np.full((1, features.shape[1]), np.nan))[0]


def rescale(values: np.ndarray, shift: Any, spread: Any) -> np.ndarray:
    """``(values - shift) / spread`` as float32, computed in double precision where the values have it."""
    scaled = np.empty(values.shape, np.float32)
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = values[start : start + ROWS_AT_ONCE]
        scaled[start : start + len(rows)] = (rows.astype(np.result_type(rows, np.float32)) - shift) / spread
    return scaled


def byte_scale(images: np.ndarray) -> float:
    """1/255; of bytes that are all below `DIM`, such as those of a mask, one over the largest."""
    largest = int(images.max())
    return 1 / largest if 0 < largest < DIM else 1 / 255


def check_alike(images: np.ndarray, test_images: np.ndarray, source: str) -> None:
    """Requires that training and test images are both uint8, both in [0, 1], or neither."""
    if (images.dtype == np.uint8) != (test_images.dtype == np.uint8):
        raise UserError(
            f"{source}: training images are {images.dtype} and test images {test_images.dtype}; save both as one type"
        )
    (low, high), (test_low, test_high) = ((float(part.min()), float(part.max())) for part in (images, test_images))
    span = max(high - low, OVERSHOOT)
    is_beyond = test_low < low - span or test_high > high + span
    is_tiny = test_high - test_low < span / OTHER_SCALE and test_high < low + span / OTHER_SCALE
    if is_beyond or is_tiny or (in_unit_range(images) and not in_unit_range(test_images)):
        raise UserError(
            f"{source}: training images lie in [{low:g}, {high:g}], test images in [{test_low:g}, {test_high:g}]; "
            "bring them to one scale"
        )


def in_unit_range(images: np.ndarray) -> bool:
    """Whether images lie in [0, 1], but for rounding, and are not bytes."""
    return images.dtype != np.uint8 and images.min() >= -OVERSHOOT and images.max() <= 1 + OVERSHOOT


def column_scale(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; of a constant column 1 stands for the deviation."""
    shift, squares = features.mean(0, dtype=np.float64), np.zeros(features.shape[1])
    # In parts: the squares of a large table would take its room once more.
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = features[start : start + ROWS_AT_ONCE].astype(np.float64) - shift
        np.square(rows, out=rows)
        rows[0] += squares
        squares = rows.sum(0)
    # Rounding can make the computed deviation of a constant column positive, so its range decides.
    varies = features.max(0) > features.min(0)
    return shift, np.where(varies, np.sqrt(squares / len(features)), 1)


def image_scale(images: np.ndarray) -> tuple[float, float]:
    """Smallest value and range; 0 and 1 for images in [0, 1]."""
    if in_unit_range(images):
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    return low, (high - low) or 1.0
