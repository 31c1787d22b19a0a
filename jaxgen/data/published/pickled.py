"""Object arrays of texts, as some published files hold their file names, read without calling what a pickle names.

The unpickler puts classes of this module in the place of NumPy's, keeps lists and texts, and refuses all else.
"""

import io
import os
import pickle
from typing import Any

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, read_header, refuse_bomb


class Pickled:
    """Stands for an array or a dtype: the arguments of its constructor, and its state."""

    def __init__(self, *arguments: Any):
        self.arguments, self.state = arguments, ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


def as_text(value: Any) -> str:
    """Text, bytes or a number as text; raises ValueError for anything else."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str | int | float):
        raise ValueError(f"it holds a {type(value).__name__}")
    return str(value)


def read_scalar(dtype: Pickled, content: bytes) -> str:
    """A NumPy scalar as text."""
    return as_text(np.frombuffer(content, dtype.arguments[0], count=1)[0].item())


def encode(text: str, encoding: str) -> bytes:
    """Bytes, which pickles of protocols 0 to 2 hold as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it would encode as {encoding}")
    return text.encode("latin1")


KNOWN = {("numpy", "ndarray"): Pickled, ("numpy", "dtype"): Pickled, ("_codecs", "encode"): encode}
# numpy.core became numpy._core.
for core in ("core", "_core"):
    KNOWN[f"numpy.{core}.multiarray", "_reconstruct"] = Pickled
    KNOWN[f"numpy.{core}.multiarray", "scalar"] = read_scalar


class TextUnpickler(pickle.Unpickler):
    """Unpickles arrays of bytes, texts and numbers, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        """A known constructor of arrays; raises UnpicklingError for any other name."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return KNOWN[module, name]


def read_objects(path: str | os.PathLike, name: str) -> np.ndarray:
    """An object array of an .npz file, as texts.

    Raises:
      UserError: if it holds anything but bytes, texts and numbers.
    """
    try:
        with ArrayFile(path) as file, file.open(name) as content:
            shape, _, _ = read_header(content)
            array = TextUnpickler(io.BytesIO(content.read())).load()
        if not isinstance(array, Pickled):
            raise ValueError("it is no array")
        # An array's state: version, shape, dtype, order, values.
        if not (isinstance(array.state, tuple) and len(array.state) == 5 and isinstance(array.state[4], list)):
            raise ValueError("its values are no list")
        texts = [as_text(value) for value in array.state[4]]
        # In an array all texts take the room of the longest.
        refuse_bomb(4 * len(texts) * max(map(len, texts), default=0), sum(map(len, texts)))
        return np.asarray(texts, dtype=str).reshape(shape)
    except (*UNREADABLE, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: array {name} is not one of bytes or texts ({error})") from None
