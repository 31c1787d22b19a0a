"""Values as they are stored: images in [0, 1] once scaled, columns of features standardized."""

from typing import Any, NamedTuple

import numpy as np

from jaxgen.errors import UserError

# Images whose bytes all are below are scaled by their largest value: they were never meant to go up to 255.
DIM = 64
# How far images in [0, 1] may go beyond, as rounding and resizing let them.
OVERSHOOT = 1e-3
# Test images whose values are so many times smaller or larger than those of training images are on another scale.
OTHER_SCALE = 16
# Rows that are rescaled at once: they take a few times their room meanwhile, best of the processor's cache.
ROWS_AT_ONCE = 256
# Columns that are imputed at once, or up to twice as many.
COLUMNS_AT_ONCE = 64
# Sums of squares below which columns are scaled before they are squared.
SMALLEST_SQUARES = 1e-290


class Scale(NamedTuple):
    """How values are stored: less `shift` and divided by `spread`; 0 where that is 0, as for constant columns.

    Attributes:
      shift, spread: scalars or ``[f]``.
      fill: what missing values are taken for, ``[f]``; None if there are none.
    """

    shift: Any = 0.0
    spread: Any = 1.0
    fill: np.ndarray | None = None

    def apply(self, values: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
        """Values ``[n, ...]`` as they are stored, computed in double precision where they have it."""
        scaled, spread = np.empty(values.shape, dtype), np.where(np.asarray(self.spread) > 0, self.spread, np.inf)
        for start in range(0, len(values), ROWS_AT_ONCE):
            rows = values[start : start + ROWS_AT_ONCE]
            if self.fill is not None:
                rows = np.where(np.isnan(rows), self.fill, rows)
            precise = rows.astype(np.result_type(rows, np.float32), copy=False)
            scaled[start : start + len(rows)] = (precise - self.shift) / spread
        return scaled


class StoredValues(NamedTuple):
    """Training and test values as stored, what networks multiply them with, and how they were made."""

    images: np.ndarray
    test_images: np.ndarray | None
    factor: float
    scale: Scale


def scale_values(
    images: np.ndarray, test_images: np.ndarray | None, factor: float | None, source: str, impute: str = "none"
) -> StoredValues:
    """Stored training and test values, by the scale of the training values.

    Args:
      images, test_images: as given.
      factor: of bytes; None: `byte_scale`.
      source: the user's name of them.
      impute: what takes the place of missing features.

    Raises:
      UserError: for values on different scales, and too large ones.
    """
    if images.ndim == 4 and test_images is not None:
        check_alike(images, test_images, source)
    if images.ndim == 4 and images.dtype == np.uint8:
        return StoredValues(images, test_images, byte_scale(images) if factor is None else factor, Scale())
    with np.errstate(over="ignore", invalid="ignore"):
        scale = column_scale(images, impute) if images.ndim == 2 else image_scale(images)
        stored = [None if values is None else scale.apply(values) for values in (images, test_images)]
    for values in (scale.shift, scale.spread, *stored):
        if values is not None and not np.isfinite(values).all():
            raise UserError(f"{source}: holds numbers too large to be scaled; bring them to a common range")
    return StoredValues(stored[0], stored[1], 1.0, scale)


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


def column_scale(features: np.ndarray, impute: str = "none") -> Scale:
    """Mean and standard deviation of each column, missing values filled by `impute`: their column's mean or median.

    The deviation of a column whose values are all equal is 0, and so is the fill of one without values.
    """
    fill = None
    # Rounding can make the computed deviation of a constant column positive, so the range of its values decides.
    with np.errstate(invalid="ignore"):
        varies = np.fmax.reduce(features) > np.fmin.reduce(features)
    shift = features.mean(0, dtype=np.float64)
    if impute != "none":
        fill, holed = fill_of(features, impute), np.flatnonzero(np.isnan(shift))
        order = "F" if features.strides[0] < features.strides[1] else "C"
        for start, stop in parts_of(len(holed)) if len(holed) else ():
            # NumPy adds up a single column, and one stored as such, in another order than the rows of several.
            columns = np.resize(holed[start:stop], max(stop - start, min(2, len(shift))))
            values = np.asarray(features[:, columns], order=order)
            shift[columns] = np.where(np.isnan(values), fill[columns], values).mean(0, dtype=np.float64)
    squares = np.zeros(features.shape[1])
    # In parts, because the squares of a large table would take its room once more.
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = features[start : start + ROWS_AT_ONCE]
        rows = rows if fill is None else np.where(np.isnan(rows), fill, rows)
        rows = np.square(rows.astype(np.float64) - shift)
        # As if all rows were added one after the other.
        rows[0] += squares
        squares = rows.sum(0)
    spread = np.where(varies, np.sqrt(squares / len(features)), 0)
    # Squares of numbers this small are 0, or have few digits.
    for column in np.flatnonzero(varies & (squares < SMALLEST_SQUARES)):
        values = features[:, column] - shift[column]
        values = values if fill is None else np.where(np.isnan(values), fill[column] - shift[column], values)
        spread[column] = np.ptp(values) * np.std(values / np.ptp(values))
    return Scale(shift, spread, fill)


def fill_of(features: np.ndarray, impute: str) -> np.ndarray:
    """What missing values of each column are taken for, ``[f]``: the mean or median of the others, 0 without any."""
    # Imported here: it takes seconds.
    from sklearn.impute import SimpleImputer

    fills = []
    # In parts, because it copies what it is given several times.
    for start, stop in parts_of(features.shape[1]):
        values = features[:, start:stop].astype(np.float64)
        imputer = SimpleImputer(strategy=impute, keep_empty_features=True).fit(values)
        fills.append(imputer.transform(np.full((1, values.shape[1]), np.nan))[0])
    return np.concatenate(fills)


def parts_of(count: int) -> list[tuple[int, int]]:
    """Where parts of so many columns start and stop: `COLUMNS_AT_ONCE` or more, so that none is a single one."""
    starts = [part * COLUMNS_AT_ONCE for part in range(max(1, count // COLUMNS_AT_ONCE))]
    return list(zip(starts, [*starts[1:], count], strict=True))


def image_scale(images: np.ndarray) -> Scale:
    """Smallest value and range; 0 and 1 for images in [0, 1]."""
    if in_unit_range(images):
        return Scale()
    low, high = float(images.min()), float(images.max())
    return Scale(low, (high - low) or 1.0)
