"""Arrays as text in a page: bytes by planes, deflated, in base64. The page's own script reads them back."""

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np


class Packed(NamedTuple):
    """An array as the page holds it.

    Attributes:
      form: what its script needs to read it: ``type`` (u1, u2, u4, f4), ``shape`` and, where numbers stand for steps on
        a scale, ``low`` and ``step``.
      text: base64 of the deflated bytes, all first bytes of the numbers before all second ones.
    """

    form: dict[str, Any]
    text: str


def pack(values: np.ndarray) -> Packed:
    """Packs numbers as they are: whole ones from 0 up in as few bytes as hold them, all others in single precision."""
    values = np.asarray(values)
    if values.dtype.kind in "biu":
        values = values.astype(smallest_type(int(values.max(initial=0))))
    else:
        # What single precision does not hold becomes infinite there.
        with np.errstate(over="ignore"):
            values = values.astype("<f4")
    return Packed({"type": values.dtype.str[1:], "shape": values.shape}, deflate(values))


def pack_coarsely(values: np.ndarray, num_bytes: int) -> Packed:
    """Packs numbers as steps on a scale from the lowest to the highest: 254 of them in one byte, 65,534 in two.

    The highest code is NaN.
    """
    kind = {1: np.dtype("u1"), 2: np.dtype("<u2")}[num_bytes]
    missing = np.iinfo(kind).max
    values = np.asarray(values, np.float64)
    # Not beyond what the page's script computes with.
    known = np.abs(values) < np.finfo(np.float32).max
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    step = (high - low) / (missing - 1) or 1.0
    codes = np.where(known, np.rint((np.where(known, values, low) - low) / step), missing).astype(kind)
    return Packed({"type": kind.str[1:], "shape": codes.shape, "low": low, "step": step}, deflate(codes))


def smallest_type(highest: int) -> np.dtype:
    """The smallest unsigned type that holds `highest`."""
    return np.dtype("u1" if highest < 2**8 else "<u2" if highest < 2**16 else "<u4")


def deflate(values: np.ndarray) -> str:
    """The bytes of an array by planes, deflated, in base64. Like bytes stand together so, and deflate better."""
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.dtype.itemsize).T
    return deflate_bytes(np.ascontiguousarray(planes).tobytes())


def deflate_bytes(content: bytes) -> str:
    """Bytes deflated, in base64."""
    return base64.b64encode(zlib.compress(content, 6)).decode()
