"""From the columns of a table to features, labels and ids."""

import pathlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.pictures import read_pictures
from jaxgen.data.table_file import ID_NAMES, MOST_CHANCE_ROWS, Table, read_table
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of

# Different texts that a column of categories has at most.
MOST_CATEGORIES = 100
NO_COLUMN, UNNAMED = "none", "without a name"


class Features(NamedTuple):
    """Numbers made of one column.

    Attributes:
      values: float ``[n, k]``: one column of numbers, or one of zeros and ones for each of k categories.
      categories: their names; none for numbers.
    """

    values: np.ndarray
    categories: tuple[str, ...] = ()


def load_table(path: str, spec: DataSpec) -> Dataset:
    """Reads labels, ids and features of a CSV or Parquet file.

    Labels are the column `spec.label_column`. Columns of numbers are features, and so are those of true and false;
    a column of texts becomes one of zeros and ones for each of its texts.

    Raises:
      UserError: if that cannot be done; naming the column and where in the file.
    """
    source = f"--dataset={spec.dataset}"
    table = read_table(path, source, (spec.label_column, spec.id_column))
    if spec.label_column not in table.names:
        raise UserError(f"--label_column={spec.label_column}: {path} has the columns {', '.join(table.names)}")
    labels = read_labels(table, spec.label_column)
    id_column, notes = find_ids(table, spec)
    if spec.image_column:
        return load_pictures(table, pathlib.Path(path), labels, id_column, spec)
    if spec.image_size:
        raise UserError(f"--image_size={spec.image_size}: is for pictures; name their column by --image_column")
    names = [name for name in table.names if name not in (spec.label_column, id_column)]
    if not names:
        raise UserError(f"{source}: has no column of numbers beside the label")
    refuse_counts(table, names, spec)
    found = read_columns(table, names)
    ids = None if id_column is None else whole_numbers(table.texts(id_column))
    told = table.notes
    # A large table need not be in memory twice.
    del table
    return make_dataset(
        pathlib.Path(path).stem,
        found.values,
        labels,
        source=source,
        ids=ids,
        notes=(*told, *notes, *found.notes),
    )


def load_pictures(
    table: Table, path: pathlib.Path, labels: np.ndarray, id_column: str | None, spec: DataSpec
) -> Dataset:
    """Reads the pictures whose files the column `spec.image_column` names, from the folder of the table.

    Their ids are those of `id_column`, or else the names of the files.

    Raises:
      UserError: for a column or a file that is not there, and for a picture that cannot be read.
    """
    if spec.image_column not in table.names:
        raise UserError(f"--image_column={spec.image_column}: {path} has the columns {', '.join(table.names)}")
    names = table.texts(spec.image_column)
    files = [path.parent / name for name in names]
    for row, file in enumerate(files):
        if not names[row] or not file.is_file():
            raise UserError(
                f"{table.source}: {table.where(row)}: there is no such picture: {file}; mend or drop the line"
            )
    pictures = read_pictures(files, spec.image_size)
    others = [name or UNNAMED for name in table.names if name not in (spec.label_column, spec.image_column, id_column)]
    return make_dataset(
        path.stem,
        pictures.pixels,
        labels,
        source=table.source,
        ids=names if id_column is None else whole_numbers(table.texts(id_column)),
        notes=(*table.notes, *([f"not read: {shorten(others)}"] if others else []), *pictures.notes),
    )


class Columns(NamedTuple):
    """Features made of several columns.

    Attributes:
      values: float ``[n, f]``.
      notes: which columns became several.
    """

    values: np.ndarray
    notes: tuple[str, ...]


def read_columns(table: Table, names: Sequence[str]) -> Columns:
    """The features that columns of the table are made into; errors are those of `read_features`."""
    columns = {name: read_features(table, name) for name in names}
    notes = [
        f"column {name} has {count_of(len(found.categories), 'category')}: {shorten(found.categories)}"
        for name, found in columns.items()
        if found.categories
    ]
    return Columns(np.concatenate([found.values for found in columns.values()], axis=1), tuple(notes))


def read_labels(table: Table, name: str) -> np.ndarray:
    """The classes: integers if all labels are whole numbers in any spelling, else texts; ``[n]``.

    Raises:
      UserError: for a row without a label, and for labels that are all numbers and not all whole.
    """
    labels = table.texts(name)
    if (labels == "").any():
        places = np.flatnonzero(labels == "")
        more = f" ({count_of(len(places) - 1, 'more row')} alike)" if len(places) > 1 else ""
        raise UserError(f"{table.source}: {table.where(int(places[0]))} has no {name}{more}; fill it or drop the line")
    values = np.array([to_number(label) for label in np.unique(labels)])
    if not np.isfinite(values).all():
        return labels
    if (values != np.rint(values)).any():
        raise UserError(
            f"{table.source}: column {name} holds numbers that are not whole; classes are needed, not a quantity: name "
            "another column by --label_column, or make classes of them"
        )
    return np.array([to_number(label) for label in labels]).astype(np.int64)


def find_ids(table: Table, spec: DataSpec) -> tuple[str | None, list[str]]:
    """The column that names the rows, if one does, and a note of how it was found.

    It is the one that ``--id_column`` names, or else the first of `ID_NAMES` whose values are all different.

    Raises:
      UserError: for an ``--id_column`` that is not there or does not tell rows apart.
    """
    if spec.id_column == NO_COLUMN:
        return None, []
    if spec.id_column:
        if spec.id_column not in table.names:
            raise UserError(f"--id_column={spec.id_column}: {table.source} has the columns {', '.join(table.names)}")
        return spec.id_column, []
    name = guess_ids(table, (spec.label_column,))
    if name is None:
        return None, []
    shown = f"column {name}" if name else "the column without a name"
    return name, [f"{shown} names the rows, and is no feature (--id_column={NO_COLUMN} makes it one)"]


def guess_ids(table: Table, others: Collection[str] = ()) -> str | None:
    """The column with a name of `ID_NAMES` that names the rows, if there is one, beside `others`.

    One called ``id`` is it in any case, so that ids that repeat are refused.
    """
    named = [name for name in table.names if name.lower() in ID_NAMES and name not in others]
    ordered = sorted(named, key=lambda name: ID_NAMES.index(name.lower()))
    return next((name for name in ordered if name.lower() == "id" or names_rows(table, name)), None)


def names_rows(table: Table, name: str) -> bool:
    """Whether a column has a value in each row, all different, and no fractions."""
    texts = table.texts(name)
    values = np.array([to_number(text) for text in texts])
    fractions = np.isfinite(values) & (values != np.rint(values))
    return bool((texts != "").all() and len(np.unique(texts)) == len(texts) and not fractions.any())


def refuse_counts(table: Table, names: Sequence[str], spec: DataSpec) -> None:
    """Raises `UserError` for a column that counts the rows, unless ``--id_column`` is given."""
    import pyarrow

    count = table.data.num_rows
    for name in names:
        column = table.data.column(name)
        if spec.id_column or count < MOST_CHANCE_ROWS or column.null_count or not pyarrow.types.is_integer(column.type):
            continue
        values = column.to_numpy()
        if values[0] in (0, 1) and np.array_equal(values, np.arange(count) + values[0]):
            raise UserError(
                f"{table.source}: column {name} counts the rows; give --id_column={name} if it names them, or "
                f"--id_column={NO_COLUMN} if it is a feature"
            )


def read_features(table: Table, name: str) -> Features:
    """The numbers that a column of the table is made into.

    Raises:
      UserError: for missing values, for texts among numbers, for too many different texts, for other types.
    """
    import pyarrow

    column = table.data.column(name).combine_chunks()
    what = f"{table.source}: column {name or UNNAMED}"
    if column.null_count == len(column):
        raise UserError(f"{what}: has no values; drop it")
    if column.null_count:
        first = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise UserError(
            f"{what}, {table.where(first)}: has no value ({column.null_count:,} of {len(column):,} are missing); fill "
            "it, or drop the line or the column"
        )
    kinds = pyarrow.types
    if kinds.is_boolean(column.type) or kinds.is_integer(column.type) or kinds.is_floating(column.type):
        return Features(finite(column.cast("float64", safe=False).to_numpy(), table, name)[:, None])
    if kinds.is_decimal(column.type):
        return Features(finite(column.cast("float64").to_numpy(), table, name)[:, None])
    if kinds.is_string(column.type):
        return read_texts(table, name)
    raise UserError(f"{what}: is of type {column.type}; numbers or texts are needed: drop it, or make numbers of it")


def read_texts(table: Table, name: str) -> Features:
    """A column of texts as numbers with decimal commas, or as categories."""
    texts = table.texts(name)
    kinds, places = np.unique(texts, return_inverse=True)
    decimal = np.array([to_number(kind.replace(",", ".")) for kind in kinds])
    if table.separator == ";" and np.isfinite(decimal).all():
        return Features(decimal[places][:, None])
    values = np.array([to_number(kind) for kind in kinds])[places]
    what = f"{table.source}: column {name or UNNAMED}"
    if np.isfinite(values).all():
        return Features(values[:, None])
    if np.isfinite(values).mean() >= 0.5:
        row = int(np.argmin(np.isfinite(values)))
        raise UserError(f"{what}, {table.where(row)}: {str(texts[row])!r} is no finite number; fill, encode or drop it")
    if len(kinds) > max(2, min(MOST_CATEGORIES, len(texts) // 2)):
        raise UserError(
            f"{what}: has {len(kinds):,} different texts in {len(texts):,} rows, more than categories have; drop it, "
            f"or, if it names the rows, give --id_column={name}"
        )
    return Features((places[:, None] == np.arange(len(kinds))).astype(float), tuple(kinds.tolist()))


def finite(values: np.ndarray, table: Table, name: str) -> np.ndarray:
    """Values ``[n]``, all finite.

    Raises:
      UserError: if not.
    """
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise UserError(
            f"{table.source}: column {name or UNNAMED}, {table.where(row)}: {str(values[row])!r} is no finite number; "
            "fill, encode or drop it"
        )
    return values


def to_number(text: Any) -> float:
    """Text as a number; NaN for text that is none, and for Python's 1_0."""
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return np.nan


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Texts as integers if all are written as such; 007 stays text."""
    try:
        whole = values.astype(np.int64)
    except (ValueError, OverflowError):
        return values
    return whole if (whole.astype(str) == values).all() else values


def shorten(names: Sequence[str]) -> str:
    """Some of the names of categories."""
    shown = ", ".join(names[:5])
    return f"{shown}, ..." if len(names) > 5 else shown
