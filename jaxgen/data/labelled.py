"""Data sets from Python that bring their labels along: a frame with a label column, or examples in pairs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.errors import UserError

# Indices of the first examples of a data set that are looked at to see what it holds.
PAIR = 2


def is_hugging_face(values: Any) -> bool:
    """Whether values are a data set of Hugging Face, or splits of one."""
    return type(values).__module__.partition(".")[0] == "datasets" and hasattr(values, "column_names")


def is_indexed(values: Any) -> bool:
    """Whether values give examples one at a time by their index, as data sets of PyTorch do."""
    is_array = (
        hasattr(values, "__array__") or hasattr(values, "columns") or isinstance(values, list | tuple | str | dict)
    )
    return not is_array and hasattr(values, "__getitem__") and hasattr(values, "__len__")


def read_pairs(values: Any, what: str) -> tuple[list[Any], list[Any], list[str] | None]:
    """The examples, the labels and, if it tells them, the class names of a data set of (example, label) pairs.

    Raises:
      UserError: if it does not hold such pairs.
    """
    examples, labels = [], []
    for pair in all_examples(values, what):
        if not isinstance(pair, list | tuple) or len(pair) != PAIR:
            raise UserError(
                f"{what}: its examples are no pairs of an image and a label, but of type {type(pair).__name__}; give "
                "images and labels as two arrays"
            )
        example, label = pair
        # Tensors stay in the memory of a whole batch otherwise.
        examples.append(example if hasattr(example, "getexif") else to_plain(example))
        labels.append(label.item() if hasattr(label, "item") else label)
    if not examples:
        raise UserError(f"{what}: has no examples")
    names = getattr(values, "classes", None)
    are_texts = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return examples, labels, list(names) if names and are_texts else None


def all_examples(values: Any, what: str) -> Iterator[Any]:
    """The examples of a data set in the order of their indices.

    Raises:
      UserError: where one cannot be read.
    """
    for index in range(len(values)):
        try:
            yield values[index]
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's data set may fail in any way
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{what}: example {index} cannot be read ({reason}); mend or drop it") from None


def to_plain(example: Any) -> np.ndarray:
    """An example as an array of NumPy."""
    return np.asarray(example.detach().cpu() if hasattr(example, "detach") else example)
