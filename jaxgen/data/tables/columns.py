"""From the columns of a table to features, labels and ids."""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.pictures import read_pictures
from jaxgen.data.tables.file import Table, read_table
from jaxgen.data.tables.names import find_ids, read_ids, read_labels, refuse_counts, to_number
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

# Different texts that a column of categories has at most.
MOST_CATEGORIES = 100
UNNAMED = "without a name"


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
    table = read_table(path, source, (spec.label_column, spec.id_column, spec.image_column))
    if spec.label_column not in table.names:
        raise UserError(f"--label_column={spec.label_column}: {path} has the columns {', '.join(table.names)}")
    labels = read_labels(table, spec.label_column)
    id_column, notes = find_ids(table, spec)
    ids = None if id_column is None else read_ids(table, id_column)
    if spec.image_column:
        return load_pictures(table, pathlib.Path(path), labels, id_column, ids, spec)
    if spec.image_size:
        raise UserError(f"--image_size={spec.image_size}: is for pictures; name their column by --image_column")
    names = [name for name in table.names if name not in (spec.label_column, id_column)]
    if not names:
        raise UserError(f"{source}: has no column of numbers beside the label")
    refuse_counts(table, names, spec)
    found = read_columns(table, names)
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
    table: Table, path: pathlib.Path, labels: np.ndarray, id_column: str | None, ids: np.ndarray | None, spec: DataSpec
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
        if not names[row] or not os.path.isfile(file):
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
        ids=names if ids is None else ids,
        notes=(*table.notes, *([f"not read: {some_of(others)}"] if others else []), *pictures.notes),
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
        f"column {name} has {count_of(len(found.categories), 'category')}: {some_of(found.categories)}"
        for name, found in columns.items()
        if found.categories
    ]
    return Columns(np.concatenate([found.values for found in columns.values()], axis=1), tuple(notes))


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
    with_comma = next((str(kind) for kind in kinds if "," in kind), None)
    if with_comma and np.isfinite(decimal).all():
        if table.separator == "," or all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})*", kind) for kind in kinds):
            raise UserError(
                f"{table.source}: column {name or UNNAMED}: {with_comma!r} may have a comma for thousands or for "
                "decimals; write numbers without commas"
            )
        return Features(decimal[places][:, None])
    if with_comma and np.isfinite([to_number(kind.replace(",", "")) for kind in kinds]).all():
        raise UserError(
            f"{table.source}: column {name or UNNAMED}: {with_comma!r} has commas for thousands; write numbers without"
        )
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
