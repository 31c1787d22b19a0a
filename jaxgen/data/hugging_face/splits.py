"""Reads the columns of splits of Hugging Face's data sets."""

import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.pictures import FORMATS, read_opened
from jaxgen.data.tables.columns import MOST_NAMES, TableRows, read_tables
from jaxgen.data.tables.file import Table, clean, declared_categories, shown
from jaxgen.data.tables.names import describe_labels, find_ids, read_ids, read_labels
from jaxgen.data.tables.unnamed import idle_index
from jaxgen.data.tensors import to_numpy
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

# What the hub writes for the label of an example that has none.
NO_LABEL = -1


class Splits(NamedTuple):
    """The examples to train on and to test on, as data sets of Hugging Face; and what is not read."""

    train: Any
    test: Any = None
    notes: tuple[str, ...] = ()


class Roles(NamedTuple):
    """Which column is what.

    Attributes:
      label: the label.
      pictures: the pictures; None for rows of features.
      are_arrays: whether the pictures are arrays, and not files.
      names: the names of the classes, if the label's type has them.
      notes: what was assumed.
    """

    label: str
    pictures: str | None
    are_arrays: bool
    names: tuple[str, ...] | None
    notes: tuple[str, ...]


def dataset_of_splits(name: str, source: str, splits: Splits, spec: DataSpec) -> Dataset:
    """The data set of splits with the same columns.

    Raises:
      UserError: if there is no label, or no features can be made of the rest.
    """
    notes = list(splits.notes)
    parts = [as_formatted(part, source) for part in (splits.train, splits.test) if part is not None]
    if len(parts) == 2 and not len(parts[1]):
        notes.append("the split for testing is empty")
        parts = parts[:1]
    if len({frozenset(part.column_names) for part in parts}) > 1:
        first, second = (some_of(part.column_names, 8) for part in parts)
        raise UserError(f"{source}: the splits have the columns {first} and {second}; needed: the same")
    roles = find_roles(parts[0], source, spec)
    notes += roles.notes
    sources = (source, f"{source}: test split")
    labels = []
    for part, what in zip(parts, sources, strict=False):
        found, told = labels_of(part, what, roles)
        labels.append(found)
        notes += [note for note in told if note not in notes]
    if len(parts) == 2 and roles.names and (labels[1] == NO_LABEL).all():
        notes.append(f"the {count_of(len(labels[1]), 'row')} for testing have no labels, and are not read")
        parts, labels = parts[:1], labels[:1]
    for found, what in zip(labels, sources, strict=False):
        if roles.names and (found == NO_LABEL).any():
            row = int(np.argmax(found == NO_LABEL))
            raise UserError(f"{what}: row {row + 1} has no {roles.label}; fill it or drop the row")
    rows = read_rows(parts, source, roles, spec)
    test = {"test_images": rows.parts[1], "test_labels": labels[1], "test_ids": rows.ids[1]} if parts[1:] else {}
    return make_dataset(
        name,
        rows.parts[0],
        labels[0],
        source=source,
        class_names=None if roles.names is None else np.array(roles.names),
        ids=rows.ids[0],
        impute=spec.impute,
        columns=rows.columns,
        notes=(*notes, *rows.notes),
        **test,
    )


def as_formatted(split: Any, source: str) -> Any:
    """The columns of a split that its format shows.

    Raises:
      UserError: for a format that changes what they hold.
    """
    if split.format["type"] == "custom":
        raise UserError(
            f"{source}: has a transform (set_transform), which is not applied; apply it by map, or give arrays"
        )
    shown = [name for name in split.column_names if name in split.format["columns"]]
    return split.select_columns(shown) if len(shown) < len(split.column_names) else split


def read_rows(parts: list[Any], source: str, roles: Roles, spec: DataSpec) -> TableRows:
    """The pictures, or the numbers made of all columns but the label and the ids, of each part."""
    others = [name for name in parts[0].column_names if name not in (roles.label, roles.pictures)]
    if not roles.pictures:
        if spec.image_size:
            raise UserError(f"{flag_of(source, 'image_size')}: {source} has no pictures; leave it out")
        return read_tables([as_table(part, others, source) for part in parts], spec)
    others = [name for name in others if is_plain(parts[0].features[name])]
    tables = [as_table(part, others, source) for part in parts]
    id_column, notes = find_ids(tables[0], spec, roles.label) if others else (None, [])
    ids = [None if id_column is None else read_ids(table, id_column) for table in tables]
    idle = [name for name in others if name not in (id_column, *idle_index(tables[0], spec, roles.label))]
    notes += [f"not read: {some_of(idle)}"] * bool(idle)
    if roles.are_arrays:
        if spec.image_size:
            raise UserError(f"{flag_of(source, 'image_size')}: is for pictures, and {source} has arrays; leave it out")
        return TableRows([arrays_of(part, roles.pictures, source) for part in parts], ids, tuple(notes))
    pictures = read_opened(pictures_of(parts, roles.pictures, source), source, spec.image_size)
    bounds = np.cumsum([len(part) for part in parts])[:-1]
    return TableRows(np.split(pictures.pixels, bounds), ids, (*notes, *pictures.notes))


def flag_of(source: str, name: str) -> str:
    """A flag as it is written on the command line, or from Python."""
    return f"--{name}" if source.startswith("--") else name


def find_roles(split: Any, source: str, spec: DataSpec) -> Roles:
    """Finds the label and the pictures of a split by the types of its columns.

    Raises:
      UserError: without a label, and for several columns of pictures.
    """
    kinds = {name: type(feature).__name__ for name, feature in split.features.items()}
    labels, notes = [name for name, kind in kinds.items() if kind == "ClassLabel"], []
    label, named = spec.label_column, "--label_column" if source.startswith("--") else "labels"
    if label not in kinds and label == DataSpec.label_column and len(labels) == 1:
        [label] = labels
        notes = [f"column {label} is the label ({named} names another)"]
    if label not in kinds:
        raise UserError(
            f"{named}={label}: {source} has the columns {some_of(shown(list(kinds)), MOST_NAMES)}; name one of them"
        )
    pictures = [name for name, kind in kinds.items() if kind == "Image"]
    pictures = pictures or [name for name, feature in split.features.items() if has_two_axes(feature)]
    if spec.image_column and spec.image_column not in pictures:
        raise UserError(f"--image_column={spec.image_column}: {source} has pictures in {', '.join(pictures) or 'none'}")
    if len(pictures) > 1 and not spec.image_column:
        raise UserError(f"{source}: has pictures in the columns {', '.join(pictures)}; name one by --image_column")
    chosen = spec.image_column or next(iter(pictures), None)
    names = split.features[label].names if kinds[label] == "ClassLabel" else None
    return Roles(label, chosen, bool(chosen) and kinds[chosen] != "Image", names and tuple(names), tuple(notes))


def labels_of(split: Any, source: str, roles: Roles) -> tuple[np.ndarray, list[str]]:
    """The labels of a split ``[n]``: numbers of the names of `roles`, -1 where there is none; else as in a table.

    Returns:
      The labels, and what was dropped of them.
    """
    own = getattr(split.features[roles.label], "names", None)
    are_places = bool(own) and roles.names == tuple(own)
    table = as_table(split, [roles.label], source, as_numbers=are_places)
    if roles.names is None:
        labels = read_labels(table, roles.label)
        return labels, describe_labels(table, roles.label, labels)
    if are_places:
        return table.data.column(roles.label).fill_null(NO_LABEL).to_numpy(), []
    texts = table.texts(roles.label)
    if (unknown := np.setdiff1d(texts, ["", *roles.names])).size:
        raise UserError(f"{source}: the label {unknown[0]} is no class of the training split; drop its rows")
    return np.array([roles.names.index(text) if text else NO_LABEL for text in texts.tolist()]), []


def as_table(split: Any, names: list[str], source: str, as_numbers: bool = False) -> Table:
    """Columns of a split, its rows in their order; classes are categories by name, or numbers if `as_numbers`."""
    import pyarrow
    import pyarrow.compute as compute

    if not names:
        return Table(source, split.data.table.select([]))
    data = split.select_columns(names).with_format("arrow")[:].replace_schema_metadata()
    categories = set(declared_categories(data))
    for place, name in enumerate(data.column_names):
        known = getattr(split.features[name], "names", None)
        if known:
            refuse_unknown(data.column(name), known, f"{source}: column {name}")
        if known and not as_numbers:
            texts = pyarrow.array([None, *known])
            # Numbers of classes follow that of none.
            column = texts.take(compute.add(data.column(name).combine_chunks().fill_null(NO_LABEL), 1))
            data = data.set_column(place, name, column)
            categories.add(name)
    return clean(Table(source, data, categories=frozenset(categories)))


def refuse_unknown(codes: Any, names: Sequence[str], what: str) -> None:
    """Raises `UserError` for numbers of classes that have no name."""
    numbers = codes.fill_null(NO_LABEL).to_numpy()
    outside = (numbers < NO_LABEL) | (numbers >= len(names))
    if outside.any():
        row = int(outside.argmax())
        raise UserError(
            f"{what}, row {row + 1}: is the number {numbers[row]} of {count_of(len(names), 'class')}, which count from "
            "0; mend it, or name all classes"
        )


def is_plain(feature: Any) -> bool:
    """Whether a column holds one number or text a row."""
    return type(feature).__name__ in ("Value", "ClassLabel")


def has_two_axes(feature: Any) -> bool:
    """Whether a column holds an array of two axes or three a row: an Array2D, or lists of lists."""
    inner = getattr(feature, "feature", None)
    return type(feature).__name__ in ("Array2D", "Array3D") or getattr(inner, "feature", None) is not None


def arrays_of(split: Any, name: str, source: str) -> np.ndarray:
    """A column of arrays of one shape, as one array.

    Raises:
      UserError: if their shapes differ.
    """
    return to_numpy(split.select_columns([name]).with_format(None)[:][name], f"{source}: column {name}")


def pictures_of(parts: list[Any], name: str, source: str) -> Iterator[Any]:
    """The opened pictures of all parts, as they were stored.

    Raises:
      UserError: for a row without one.
    """
    import datasets
    from PIL import Image

    for part in parts:
        stored = part.select_columns([name]).with_format(None).cast_column(name, datasets.Image(decode=False))
        for row, example in enumerate(stored):
            content = example[name] or {}
            if not content.get("bytes") and not content.get("path"):
                raise UserError(f"{source}: row {row + 1} has no {name}; drop it")
            file = io.BytesIO(content["bytes"]) if content.get("bytes") else content["path"]
            try:
                with warnings.catch_warnings(action="ignore"):
                    yield Image.open(file, formats=FORMATS)
            except (*UNREADABLE, Image.DecompressionBombError) as error:
                raise UserError(
                    f"{source}: row {row + 1} has a picture that cannot be read ({error}); drop it"
                ) from None
