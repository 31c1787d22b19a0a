"""From one column of a table to numbers."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxgen.data.tables.file import Table
from jaxgen.data.tables.text import PADDED
from jaxgen.data.tables.words import to_number
from jaxgen.errors import UserError

# Different texts that a column of categories has at most.
MOST_CATEGORIES = 100
# The category of rows that have none.
NO_CATEGORY = "(missing)"
# Rows whose numbers are gathered at once, so that they stay in the processor's cache.
ROWS_AT_ONCE = 1024


class Features(NamedTuple):
    """Numbers made of one column.

    Attributes:
      values: float ``[n, k]``: one column of numbers, or one of zeros and ones for each of k categories.
      categories: their names; none for numbers.
      kind: of the column.
      has_decimal_commas: whether the numbers were written with commas.
      without: how many rows have no category.
      unseen: categories of test rows that no training row has; these rows are 0 in all columns.
      is_padded: whether some of the numbers were written with zeros before them.
    """

    values: np.ndarray
    categories: tuple[str, ...] = ()
    kind: Literal["numbers", "true or false", "categories", "lists of numbers"] = "numbers"
    has_decimal_commas: bool = False
    without: int = 0
    unseen: tuple[str, ...] = ()
    is_padded: bool = False


def read_features(table: Table, name: str, impute: str = "none") -> Features:
    """The numbers that a column of the table is made into; NaN for missing values that are to be imputed.

    Raises:
      UserError: for missing values, for texts among numbers, for too many different texts, for other types.
    """
    import pyarrow

    column = table.data.column(name).combine_chunks()
    what = table.title(name)
    missing = column.is_null(nan_is_null=pyarrow.types.is_floating(column.type)).to_numpy(zero_copy_only=False)
    if missing.all():
        raise UserError(f"{what}: has no values; drop it")
    kinds = pyarrow.types
    if kinds.is_list(column.type) or kinds.is_large_list(column.type) or kinds.is_fixed_size_list(column.type):
        return read_lists(column, table, name)
    is_text, is_number = name in table.categories or kinds.is_string(column.type), kinds.is_boolean(column.type)
    is_number |= kinds.is_integer(column.type) or kinds.is_floating(column.type) or kinds.is_decimal(column.type)
    if not is_text and not is_number:
        raise UserError(
            f"{what}: is of type {column.type}; numbers or texts are needed: drop it, or make numbers of it"
        )
    if missing.any() and impute == "none":
        row = int(np.argmax(missing))
        details = "; ".join([f"{missing.sum():,} of {len(column):,} are missing", *table.instead(row, name)])
        raise UserError(
            f"{what}, {table.where(row)}: has no value ({details}); fill it, give --impute=median, "
            "or drop the line or the column"
        )
    if is_text:
        return read_texts(table, name)
    if kinds.is_boolean(column.type):
        return Features(to_floats(column.cast("int8"))[:, None].astype(float), kind="true or false")
    # Integers need not be exact as floats.
    floats = column.cast("float64", safe=kinds.is_decimal(column.type))
    return Features(not_infinite(to_floats(floats), table, name)[:, None])


def read_lists(column: Any, table: Table, name: str) -> Features:
    """A column of lists of numbers, all of one length, as so many columns.

    Raises:
      UserError: if they are no such lists.
    """
    import pyarrow
    import pyarrow.compute as compute

    what = table.title(name)
    lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
    if column.null_count:
        row = table.where(int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))))
        raise UserError(
            f"{what}, {row}: has no list ({column.null_count:,} of {len(column):,} are missing); fill it (no list is "
            "imputed), or drop the line or the column"
        )
    if len(np.unique(lengths)) > 1:
        raise UserError(f"{what}: has lists of several lengths; give all one length, or drop it")
    values = column.flatten()
    if not (pyarrow.types.is_integer(values.type) or pyarrow.types.is_floating(values.type)):
        raise UserError(f"{what}: has lists of the type {values.type}; lists of numbers are needed: drop it")
    numbers = to_floats(values.cast("float64", safe=False)).reshape(len(column), -1)
    if not numbers.size or not np.isfinite(numbers).all():
        raise UserError(f"{what}: has lists with missing or infinite numbers, or without any; fill them or drop it")
    return Features(numbers, kind="lists of numbers")


def read_texts(table: Table, name: str) -> Features:
    """A column of texts as numbers with decimal commas, or as categories; one of these are missing values."""
    texts = table.texts(name)
    kinds, places = np.unique(texts, return_inverse=True)
    if name in table.categories:
        return as_categories(table, name, kinds, places)
    refuse_mixed_points(table, name, kinds)
    what = table.title(name)
    decimal = np.array([to_number(kind.replace(",", ".")) for kind in kinds])
    with_comma = next((str(kind) for kind in kinds if "," in kind), None)
    if with_comma and are_numbers(decimal, kinds):
        if table.separator == "," or all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})*", kind) for kind in kinds):
            raise UserError(
                f"{what}: {with_comma!r} may have a comma for thousands or for decimals; write numbers without commas"
            )
        return Features(decimal[places][:, None], has_decimal_commas=True)
    if with_comma and are_numbers(np.array([to_number(kind.replace(",", "")) for kind in kinds]), kinds):
        raise UserError(f"{what}: {with_comma!r} has commas for thousands; write numbers without")
    numbers = np.array([to_number(kind) for kind in kinds])
    if are_numbers(numbers, kinds):
        return Features(numbers[places][:, None], is_padded=any(re.match(PADDED, kind) for kind in kinds))
    if np.isfinite(numbers)[places].sum() >= 0.5 * (texts != "").sum():
        row = int(np.argmax((~np.isfinite(numbers) & (kinds != ""))[places]))
        raise UserError(f"{what}, {table.where(row)}: {str(texts[row])!r} is no finite number; fill, encode or drop it")
    return as_categories(table, name, kinds, places)


def refuse_mixed_points(table: Table, name: str, kinds: np.ndarray) -> None:
    """Raises `UserError` for numbers with points and commas, such as 1.234,5 or 1.234 among 990,5."""
    numbers = [str(kind) for kind in kinds if re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*", kind)]
    pointed = next((number for number in numbers if "." in number and "," in number), None)
    if pointed is None and any("," in number for number in numbers):
        pointed = next((number for number in numbers if "." in number), None)
    if pointed is not None and len(numbers) == (kinds != "").sum():
        raise UserError(
            f"{table.title(name)}: {pointed!r} stands among numbers with points and commas, and "
            "one may be for thousands; write numbers with a point for decimals and nothing for thousands"
        )


def as_categories(table: Table, name: str, kinds: np.ndarray, places: np.ndarray) -> Features:
    """A column of zeros and ones for each of the texts `kinds`, of which each row has the one at its place.

    Raises:
      UserError: if there are too many.
    """
    count = table.training or len(places)
    seen = np.unique(places[:count])
    if len(seen) > max(2, min(MOST_CATEGORIES, count // 2)):
        raise UserError(
            f"{table.title(name)}: has {len(seen):,} different texts in {count:,} rows, "
            "more than categories have; drop it, or, if it names the rows, "
            + (f"give --id_column={name}" if name else "leave out --id_column")
        )
    names = np.where(kinds == "", NO_CATEGORY, kinds)
    values = (places[:, None] == seen).astype(float)
    without, unseen = int((kinds == "")[places].sum()), np.delete(names, seen)
    return Features(values, tuple(names[seen].tolist()), "categories", without=without, unseen=tuple(unseen.tolist()))


def are_numbers(values: np.ndarray, texts: np.ndarray) -> bool:
    """Whether the numbers made of texts are finite wherever these are not empty."""
    return bool((np.isfinite(values) | (texts == "")).all())


def to_floats(column: Any) -> np.ndarray:
    """A column of floats as an array ``[n]``, NaN for missing values."""
    return column.to_numpy(zero_copy_only=False)


def not_infinite(values: np.ndarray, table: Table, name: str) -> np.ndarray:
    """Values ``[n]``, none of them infinite.

    Raises:
      UserError: if one is.
    """
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise UserError(
            f"{table.title(name)}, {table.where(row)}: {str(values[row])!r} is no finite number; "
            "fill, encode or drop it"
        )
    return values


def read_numbers(table: Table, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The columns that hold a finite number in each row, many rows of all of them at once.

    Returns:
      Float values ``[n, f]`` of all columns, undefined for others, and whether each is such a column, ``[f]``.
    """
    import pyarrow

    # Arrow joins all other types of numbers in one that holds them, or float64.
    apart = (pyarrow.uint64(), pyarrow.float16())

    def is_number(name: str) -> bool:
        column = table.data.column(name)
        is_kind = pyarrow.types.is_integer(column.type) or pyarrow.types.is_floating(column.type)
        return is_kind and column.type not in apart and not column.null_count and name not in table.categories

    values, is_complete = np.empty((table.data.num_rows, len(names))), np.array([is_number(name) for name in names])
    places, start = np.flatnonzero(is_complete), 0
    # One slice of all columns, if all are such, is written without a copy.
    columns = slice(None) if is_complete.all() else places
    numbers = table.data.select([names[place] for place in places])
    for batch in numbers.to_batches(max_chunksize=ROWS_AT_ONCE) if len(places) else ():
        rows = batch.to_tensor(row_major=True).to_numpy()
        values[start : start + len(rows), columns] = rows
        is_complete[places] &= np.isfinite(rows).all(0)
        start += len(rows)
    return values, is_complete
