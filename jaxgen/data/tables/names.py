"""Labels and ids of a table, and columns that are neither features nor either of them."""

import re
from collections.abc import Collection, Sequence

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.labels import describe_spaces
from jaxgen.data.tables.file import ID_NAMES, INDEX_NAMES, MISSING, MOST_CHANCE_ROWS, Table, shown
from jaxgen.data.tables.text import PADDED
from jaxgen.data.tables.unnamed import describe_idle
from jaxgen.data.tables.words import NO_COLUMN, decimals, describe_column, names_rows, to_number
from jaxgen.errors import UserError
from jaxgen.wording import count_of

# Rows from which on a label that half of them have alone is none.
MANY_ROWS = 20


def read_labels(table: Table, name: str) -> np.ndarray:
    """The classes: integers if all labels are whole numbers in any spelling, else texts; ``[n]``.

    Raises:
      UserError: for a row without a label, and for labels that are all numbers and not all whole.
    """
    labels = table.texts(name)
    if (missing := np.isin(labels, MISSING)).any():
        places = np.flatnonzero(missing)
        row, more = int(places[0]), [f"{count_of(len(places) - 1, 'more row')} alike"] * (len(places) > 1)
        details = "; ".join([*table.instead(row, name), *more])
        details = f" ({details})" if details else ""
        raise UserError(f"{table.source}: {table.where(row)} has no {name}{details}; fill it or drop the line")
    kinds, places = np.unique(labels, return_inverse=True)
    if len(labels) >= MANY_ROWS and len(kinds) > len(labels) / 2:
        raise UserError(
            f"{table.source}: column {name} has {len(kinds):,} different values in {len(labels):,} rows, more than "
            "classes have; name the column of the label by --label_column"
        )
    values = np.array([to_number(kind) for kind in kinds])
    if not np.isfinite(values).all():
        # A whole number among texts has one spelling too.
        return np.array([re.sub(r"^([+-]?\d+)\.0*$", r"\1", kind) for kind in kinds])[places]
    if (values != np.rint(values)).any():
        raise UserError(
            f"{table.source}: column {name} holds numbers that are not whole; classes are needed, not a quantity: name "
            "another column by --label_column, or make classes of them"
        )
    whole = [exact_integer(kind) for kind in kinds]
    if any(value is None or abs(value) >= 2**63 for value in whole):
        return labels
    return np.array(whole, np.int64)[places]


def describe_labels(table: Table, name: str, labels: np.ndarray) -> list[str]:
    """Says what was dropped of labels of a column: white space around them, and zeros before numbers."""
    import pyarrow
    import pyarrow.compute as compute

    notes = [describe_spaces(*table.spaces[name])] if name in table.spaces else []
    column = table.data.column(name)
    if labels.dtype.kind == "i" and pyarrow.types.is_string(column.type):
        padded = column.filter(compute.match_substring_regex(column, PADDED))
        notes += [
            f"labels are numbers, and zeros before them are dropped, as of {text}" for text in padded.to_pylist()[:1]
        ]
    return notes


def exact_integer(text: str) -> int | None:
    """A whole number in any spelling; None where a float does not hold it."""
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    return int(float(text)) if abs(float(text)) < 2**53 else None


def read_ids(table: Table, name: str) -> np.ndarray:
    """The ids of the rows, integers if all are written as such; ``[n]``.

    Raises:
      UserError: for a row without one, and for two rows with one.
    """
    ids = table.texts(name)
    if (missing := np.isin(ids, MISSING)).any():
        raise UserError(
            f"{table.source}: {table.where(int(missing.argmax()))} has no {name or 'id'}; fill it, name another "
            f"column by --id_column, or none (--id_column={NO_COLUMN})"
        )
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise UserError(
            f"{table.title(name)}: {counts.max()} examples have the id {unique[counts.argmax()]}; ids must differ: "
            f"name another column by --id_column, or none (--id_column={NO_COLUMN})"
        )
    return whole_numbers(ids)


def find_ids(table: Table, spec: DataSpec, label: str | None) -> tuple[str | None, list[str]]:
    """The column that names the rows, if one does, and a note of how it was found.

    It is the one that ``--id_column`` names, or else the first of `ID_NAMES` whose values are all different. Where
    there is none, it is one that is called so and holds no fractions, so that ids that repeat are refused.

    Raises:
      UserError: for an ``--id_column`` that is not there or does not tell rows apart.
    """
    if spec.id_column == NO_COLUMN:
        return None, describe_idle(table, spec, label, None)
    if spec.id_column:
        if spec.id_column not in table.names:
            raise UserError(
                f"--id_column={spec.id_column}: {table.source} has the columns {', '.join(shown(table.names))}; "
                "name one"
            )
        return spec.id_column, describe_idle(table, spec, label, spec.id_column)
    index = [name for name in table.index if name != label]
    if len(index) > 1:
        raise UserError(
            f"{table.source}: has an index of {len(index)} columns ({', '.join(index)}); name one by "
            "--id_column, or write it without (reset_index)"
        )
    name = index[0] if index else guess_ids(table, (label,))
    if name is None:
        name = next((name for name in named_ids(table, label) if not has_fractions(table, name)), None)
    notes = describe_idle(table, spec, label, name)
    if name is not None:
        role = f"names the rows, and is no feature (--id_column={NO_COLUMN} makes it one)"
        if table.named_by:
            role = f"is not read, as {table.named_by} the rows (--id_column={NO_COLUMN} makes it a feature)"
        notes.append(f"{describe_column(name)} {role}")
    others = [other for other in named_ids(table, label) if other not in (name, spec.image_column)]
    return name, notes + [f"column {other} holds no ids, and is read as any other" for other in others]


def guess_ids(table: Table, others: Collection[str] = ()) -> str | None:
    """The column with a name of `ID_NAMES` that names the rows, if there is one, beside `others`.

    One called ``id`` is it in any case, so that ids that repeat are refused.
    """
    named = [name for name in table.names if name.lower() in ID_NAMES and name not in others]
    ordered = sorted(named, key=lambda name: ID_NAMES.index(name.lower()))
    return next((name for name in ordered if name.lower() == "id" or names_rows(table, name)), None)


def named_ids(table: Table, label: str | None) -> list[str]:
    """The columns, beside `label`, that are called as ids are: ``id``, ``index``, ``rownames``."""
    names = set(ID_NAMES) - set(INDEX_NAMES)
    return [name for name in table.names if name.lower() in names and name != label]


def has_fractions(table: Table, name: str) -> bool:
    """Whether a column holds numbers that are not whole."""
    values = decimals(table.texts(name))
    return bool((np.isfinite(values) & (values != np.rint(values))).any())


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


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Texts as integers if all are written as such; 007 stays text."""
    try:
        whole = values.astype(np.int64)
    except (ValueError, OverflowError):
        return values
    return whole if (whole.astype(str) == values).all() else values
