"""Arrays of pickled texts, as some published files hold their file names: read without calling what a pickle names.

Of what NumPy writes into such a pickle only the lists and the texts are kept. Everything else that it names becomes one
of the classes here, and what they do not know is refused.
"""

import io
import os
import pickle
from typing import Any

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, parse_header, refuse_bomb


class Pickled:
    """An array, or the type of one: what it was made of, and the state that it was given."""

    def __init__(self, *made_of: Any):
        self.made_of, self.state = made_of, ()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def texts(self) -> list[str]:
        """The values of an array of objects.

        Raises:
          ValueError: for any other.
        """
        values = self.state[4] if isinstance(self.state, tuple) and len(self.state) == 5 else None
        if not isinstance(values, list):
            raise ValueError("its values are no list")
        return [as_text(value) for value in values]


def as_text(value: Any) -> str:
    """A text, bytes or a number as text."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str | int | float):
        raise ValueError(f"it holds a {type(value).__name__}")
    return str(value)


def read_scalar(kind: Pickled, content: bytes) -> str:
    """One text or number of NumPy's own, as text."""
    value = np.frombuffer(content, kind.made_of[0], count=1)[0].item()
    return as_text(value)


def encode(text: str, encoding: str) -> bytes:
    """Bytes, which the oldest kind of pickle has as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it would encode as {encoding}")
    return text.encode("latin1")


KNOWN = {("numpy", "ndarray"): Pickled, ("numpy", "dtype"): Pickled, ("_codecs", "encode"): encode}
# numpy.core became numpy._core.
for core in ("core", "_core"):
    KNOWN[f"numpy.{core}.multiarray", "_reconstruct"] = Pickled
    KNOWN[f"numpy.{core}.multiarray", "scalar"] = read_scalar


class Careful(pickle.Unpickler):
    """Makes arrays of bytes, texts and numbers, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return KNOWN[module, name]


def read_objects(path: str | os.PathLike, name: str) -> np.ndarray:
    """An array of objects of an .npz file, as texts.

    Raises:
      UserError: if it is another, or would call anything.
    """
    try:
        with ArrayFile(path) as file, file.open(name) as content:
            shape, _, _ = parse_header(content)
            found = Careful(io.BytesIO(content.read())).load()
        if not isinstance(found, Pickled):
            raise ValueError("it is no array")
        texts = found.texts()
        # In an array all texts take the room of the longest.
        refuse_bomb(4 * len(texts) * max(map(len, texts), default=0), sum(map(len, texts)))
        return np.asarray(texts, dtype=str).reshape(shape)
    except (*UNREADABLE, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: array {name} is not one of bytes or texts ({error})") from None
