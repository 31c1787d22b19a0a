"""Encoding of arrays as text: byte planes, deflated, in base64. The page's script decodes them."""

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np


class Packed(NamedTuple):
    """An encoded array.

    Attributes:
      form: description for the decoder: ``type`` (u1, u2, u4, f4), ``shape`` and, for quantized values, ``low`` and
        ``step``.
      text: base64 of the deflated byte planes: the first bytes of all values, then the second bytes, and so on.
    """

    form: dict[str, Any]
    text: str


def pack(values: np.ndarray) -> Packed:
    """Encodes nonnegative integers in the smallest sufficient type, all other values as float32."""
    values = np.asarray(values)
    if values.dtype.kind in "biu":
        values = values.astype(smallest_type(int(values.max(initial=0))))
    else:
        # Values beyond the range of float32 become infinite.
        with np.errstate(over="ignore"):
            values = values.astype("<f4")
    return Packed({"type": values.dtype.str[1:], "shape": values.shape}, deflate(values))


def pack_coarsely(values: np.ndarray, num_bytes: int) -> Packed:
    """Quantizes values linearly from lowest to highest: in 254 steps with one byte, 65,534 with two.

    The highest code stands for NaN.
    """
    kind = {1: np.dtype("u1"), 2: np.dtype("<u2")}[num_bytes]
    missing = np.iinfo(kind).max
    values = np.asarray(values, np.float64)
    # The decoder uses float32.
    known = np.abs(values) < np.finfo(np.float32).max
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    step = (high - low) / (missing - 1) or 1.0
    codes = np.where(known, np.rint((np.where(known, values, low) - low) / step), missing).astype(kind)
    return Packed({"type": kind.str[1:], "shape": codes.shape, "low": low, "step": step}, deflate(codes))


def smallest_type(highest: int) -> np.dtype:
    """The smallest unsigned type that holds `highest`."""
    return np.dtype("u1" if highest < 2**8 else "<u2" if highest < 2**16 else "<u4")


def deflate(values: np.ndarray) -> str:
    """The byte planes of an array, deflated, in base64; planes group similar bytes, which compress better."""
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.dtype.itemsize).T
    return deflate_bytes(np.ascontiguousarray(planes).tobytes())


def deflate_bytes(content: bytes) -> str:
    """Deflated bytes in base64."""
    return base64.b64encode(zlib.compress(content, 6)).decode()
