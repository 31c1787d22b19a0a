"""Data sets from Python that give examples one at a time, perhaps with their labels, as those of PyTorch do."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data.tensors import to_numpy
from jaxgen.errors import UserError, first_line


class Pairs(NamedTuple):
    """Examples, their labels, and the names of the classes by number if the data set tells them."""

    examples: list[Any]
    labels: list[Any]
    classes: list[str] | None


def is_hugging_face(values: Any) -> bool:
    """Whether values are a data set of Hugging Face, or splits of one."""
    return type(values).__module__.partition(".")[0] == "datasets" and hasattr(values, "column_names")


def is_indexed(values: Any) -> bool:
    """Whether values give examples one at a time by their index, as data sets of PyTorch do."""
    is_array = hasattr(values, "__array__") or hasattr(values, "columns") or hasattr(values, "iloc")
    is_plain = isinstance(values, list | tuple | str | dict)
    return not (is_array or is_plain) and hasattr(values, "__getitem__") and hasattr(values, "__len__")


def read_pairs(values: Any, what: str) -> Pairs:
    """The examples and labels of a data set of (example, label) pairs; `what` is the user's name of it.

    Raises:
      UserError: if it does not hold such pairs.
    """
    if not is_indexed(values):
        raise UserError(f"{what}: are no data set of pairs, and the images are one; give both alike")
    examples, labels = [], []
    for pair in all_examples(values, what):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UserError(
                f"{what}: its examples are no pairs of an image and a label, but of type {type(pair).__name__}; give "
                "images and labels as two arrays"
            )
        example, label = pair
        examples.append(
            example if hasattr(example, "getexif") else to_numpy(example, f"{what}: example {len(examples)}")
        )
        labels.append(label if isinstance(label, str | int) else plain_label(label, f"{what}: label {len(labels)}"))
    if not examples:
        raise UserError(f"{what}: has no examples; give some, each with its label")
    names = getattr(values, "classes", None)
    are_texts = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return Pairs(examples, labels, list(names) if names and are_texts else None)


def plain_label(label: Any, what: str) -> Any:
    """A label of one number as that number, and a one-hot one as an array."""
    if label is None:
        return None
    if hasattr(label, "getexif"):
        raise UserError(f"{what}: is a picture; pairs are (image, label)")
    array = to_numpy(label, what)
    return array.item() if array.size == 1 else array


def renumbered(tests: Pairs, classes: Sequence[str] | None) -> tuple[list[Any], list[Any]]:
    """Test examples, and their labels by the numbers that their classes have among `classes`.

    Raises:
      UserError: for a class that is not among them.
    """
    if classes is None or tests.classes is None or list(classes) == tests.classes:
        return tests.examples, tests.labels
    labels = []
    for label in tests.labels:
        is_number = isinstance(label, int) and 0 <= label < len(tests.classes)
        if not is_number or tests.classes[label] not in classes:
            shown = tests.classes[label] if is_number else label
            raise UserError(f"test images: have the class {shown}, which the images have not; leave its examples out")
        labels.append(classes.index(tests.classes[label]))
    return tests.examples, labels


def all_examples(values: Any, what: str) -> Iterator[Any]:
    """The examples of a data set in the order of their indices.

    Raises:
      UserError: where one cannot be read.
    """
    index = None
    try:
        for index in range(len(values)):
            yield values[index]
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's data set may fail in any way
        place = "its length" if index is None else f"example {index}"
        raise UserError(f"{what}: {place} cannot be read ({first_line(error)}); mend or drop it") from None


def without_tuples(examples: list[Any], what: str) -> list[Any]:
    """Examples out of tuples of one, as data sets of one tensor give them.

    Raises:
      UserError: for tuples of more, which are an example and its label.
    """
    if not examples or not all(isinstance(example, tuple) for example in examples):
        return examples
    if any(len(example) != 1 for example in examples):
        raise UserError(f"{what}: are tuples, such as pairs of an image and a label; give these without labels beside")
    return [example for (example,) in examples]


def stacked(examples: list[Any], what: str) -> list[Any] | np.ndarray:
    """Examples that are arrays as one array; opened pictures as they are."""
    if examples and not hasattr(examples[0], "getexif"):
        return to_numpy([to_numpy(example, f"{what}: example {i}") for i, example in enumerate(examples)], what)
    return examples
