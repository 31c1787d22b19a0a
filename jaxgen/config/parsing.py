"""From a flag's text to its value: numbers, lists, ranges, words, switches."""

import dataclasses
import decimal
from typing import Any

from absl import flags as absl_flags

from jaxgen.config.fields import AUTO, MOST_VALUES, describe_type


def read_text(field: dataclasses.Field, text: str) -> Any:
    """The value of a flag's text, the inverse of `jaxgen.config.fields.format_value`.

    Raises:
      ValueError: with what is wrong, in words for the user.
    """
    if field.metadata["sweep"]:
        items = read_numbers(text, field.type) if field.type in (int, float) else read_words(text)
        return items[0] if len(items) == 1 else items
    if field.type == tuple[int, ...] and field.metadata["step"]:
        return read_numbers(text, int, field.metadata["step"]) if text.strip() else ()
    if field.type == tuple[float, ...]:
        return read_numbers(text, float, field.metadata["step"]) if text.strip() else ()
    if field.type in (int, float):
        return read_number(text, field.type)
    if field.type == tuple[str, ...]:
        return read_words(text) if text.strip() else ()
    readers = {bool: read_boolean, tuple[int, ...]: read_integers, int | None: read_width}
    return readers.get(field.type, str)(text)


def read_numbers(text: str, kind: type, step: float | None = None) -> tuple[Any, ...]:
    """Parses a list ``a,b,c`` or a range ``start:stop:step``, both ends included.

    Args:
      text: of the flag.
      kind: int or float.
      step: the step of ``start:stop``; None: the user must give one.

    Raises:
      ValueError: with what is wrong, in words for the user.
    """
    form = "start:stop:step" if step is None else "start:stop[:step]"
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return tuple(kind(part) for part in text.split(","))
        # In decimals 0.1 + 2 * 0.1 is 0.3, so that a range ends where it says.
        numbers = [decimal.Decimal(repr(kind(part))) for part in parts]
    except ValueError:
        raise ValueError(f"give a {describe_type(kind)}, a list a,b,c or a range {form}") from None
    if len(numbers) == 2 and step is not None:
        numbers.append(decimal.Decimal(repr(step)))
    if len(numbers) != 3:
        raise ValueError(f"give a range as {form}, such as {'2:10:2' if kind is int else '0.1:0.9:0.2'}")
    return tuple(kind(number) for number in count_up(*numbers))


def count_up(start: decimal.Decimal, stop: decimal.Decimal, step: decimal.Decimal) -> list[decimal.Decimal]:
    """The numbers from `start` in steps of `step`, up to `stop` inclusive.

    Raises:
      ValueError: for an empty range, and for more than `MOST_VALUES` numbers.
    """
    if not (start.is_finite() and stop.is_finite() and step.is_finite() and step > 0 and stop >= start):
        raise ValueError("the range is empty; give start:stop:step with start <= stop and a step above 0")
    steps = (stop - start) / step
    if steps >= MOST_VALUES:
        raise ValueError(f"these are more than {MOST_VALUES:,} values; give a larger step")
    return [start + i * step for i in range(int(steps) + 1)]


def read_words(text: str) -> tuple[str, ...]:
    """Parses a list of words ``a,b,c``."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise ValueError("give a name, or a list a,b,c")
    return words


def read_number(text: str, kind: type) -> Any:
    """Parses one number of type `kind`."""
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"give a {describe_type(kind)}") from None


def read_boolean(text: str) -> bool:
    """Parses ``true`` or ``false``, as absl does."""
    try:
        return absl_flags.BooleanParser().parse(text)
    except ValueError:
        raise ValueError("give true or false") from None


def read_integers(text: str) -> tuple[int, ...]:
    """Parses whole numbers ``a,b,c``; an empty text is the empty tuple."""
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError("give whole numbers with commas between, such as 128,64") from None


def read_width(text: str) -> int | None:
    """Parses a number of members, or ``auto``, which is None."""
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"give a whole number or {AUTO}") from None
