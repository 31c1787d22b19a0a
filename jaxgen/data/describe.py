"""What was read, in lines: a reader's guesses are told before anything is trained on them."""

from collections.abc import Iterator

import numpy as np

from jaxgen.types import Dataset
from jaxgen.wording import count_of

# Classes whose sizes are told one by one.
MOST_CLASSES = 20


def describe_data(dataset: Dataset) -> Iterator[str]:
    """Says what data hold, then what was left out, changed or assumed when they were read."""
    shape = "x".join(map(str, dataset.images.shape[1:]))
    things = (
        f"{count_of(len(dataset.labels), 'image')} of {shape}"
        if dataset.has_images
        else f"{count_of(len(dataset.labels), 'row')} of {count_of(dataset.images.shape[1], 'number')}"
    )
    tests = "" if dataset.test_labels is None else f"; {len(dataset.test_labels):,} for testing"
    yield f"read {dataset.name}: {things}, {describe_values(dataset)}; {describe_classes(dataset)}{tests}"
    yield from describe_notes(dataset)


def describe_notes(dataset: Dataset) -> Iterator[str]:
    """Says what was left out, changed or assumed when data were read."""
    for note in (*dataset.notes, *describe_missing(dataset)):
        yield f"read {dataset.name}: {note}"


def describe_missing(dataset: Dataset) -> Iterator[str]:
    """Says how many features are missing, and what took their place."""
    if dataset.impute == "none":
        return
    parts = [part for part in (dataset.features, dataset.test_features) if part is not None]
    missing = [np.isnan(part) if part.dtype.kind == "f" else np.zeros(part.shape, bool) for part in parts]
    if count := sum(int(part.sum()) for part in missing):
        columns = int(np.any([part.any(0) for part in missing], axis=0).sum())
        yield (
            f"{count_of(count, 'missing value')} in {count_of(columns, 'column')}: each filled with the "
            f"{dataset.impute} of its column over the training examples"
        )
    if empty := int(missing[0].all(0).sum()):
        yield f"{count_of(empty, 'column')} without a value among the training examples: 0 everywhere"


def describe_values(dataset: Dataset) -> str:
    """The type of the values, and how they were scaled."""
    if not dataset.has_images:
        return "each column standardized"
    if dataset.images.dtype == np.uint8:
        return "bytes"
    shift, spread = float(dataset.shift), float(dataset.spread)
    if (shift, spread) == (0, 1):
        return "values from 0 to 1"
    return f"values from {shift:g} to {shift + spread:g}, scaled to 0 to 1"


def describe_classes(dataset: Dataset) -> str:
    """How many examples each class has."""
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    names = count_of(dataset.num_classes, "class")
    if counts.min() == counts.max():
        return f"{names} of {counts[0]:,} each"
    if dataset.num_classes <= MOST_CLASSES:
        return f"{names}: " + ", ".join(f"{name} ({n:,})" for name, n in zip(dataset.class_names, counts, strict=True))
    smallest, largest = dataset.class_names[counts.argmin()], dataset.class_names[counts.argmax()]
    return f"{names} of {counts.min():,} ({smallest}) to {counts.max():,} ({largest})"
