"""Fields of specs: how one is declared, checked and written, and specs made of values by flag."""

import collections
import dataclasses
import enum
import math
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

from jaxgen.errors import UserError

AUTO = "auto"

# The most values that one flag takes, in a list or a range.
MOST_VALUES = 10_000


class Place(enum.IntEnum):
    """Where a topic stands among those of its command, on the help page and in flag files.

    Fields of one place keep the order in which dataclasses list them: inherited ones first.
    """

    QUESTION = 0
    TRAINING = 1
    MEASURING = 2
    COMPUTE = 3
    RUN = 4
    LAST = 5


def option(
    default: Any,
    help: str,
    *,
    rule: Callable[[Any], bool] | None = None,
    says: str = "",
    sweep: bool = False,
    hparam: bool = False,
    optional: bool = False,
    step: float | None = None,
    place: Place = Place.RUN,
) -> Any:
    """A dataclass field that is a flag.

    Args:
      default: the value of a flag that is not given.
      help: its text on the help page.
      rule: whether a value is allowed; None: all of the field's type are.
      says: the rule in words, for the error message.
      sweep: whether the flag takes a list, a tuple of such values, to train with each of them.
      hparam: whether the value is a traced array, in which members of one compiled program may differ.
      optional: whether 0 switches it off; hyperparameters only.
      step: the step of a range ``start:stop``; None: the user must give one.
      place: where it stands among the fields of its spec.
    """
    metadata = {"help": help, "rule": rule, "says": says, "sweep": sweep, "hparam": hparam, "optional": optional}
    return dataclasses.field(default=default, metadata={**metadata, "step": step, "place": place})


def topic(make_default: Callable[[], Any], place: Place) -> Any:
    """A dataclass field that holds a spec of its own, whose flags stand at this place."""
    return dataclasses.field(default_factory=make_default, metadata={"place": place})


def hparam(default: float, help: str, **rule: Any) -> Any:
    """A hyperparameter that may be swept within one compiled program."""
    return option(default, help, sweep=True, hparam=True, **rule)


def optional_hparam(default: float, help: str, **rule: Any) -> Any:
    """A hyperparameter that is off at 0: no code is compiled for it where all members have 0."""
    return option(default, help, sweep=True, hparam=True, optional=True, **rule)


def is_flag(field: dataclasses.Field) -> bool:
    """Whether a field of a spec is a flag, and neither a topic nor what a spec remembers of its making."""
    return "help" in field.metadata


def is_swept(field: dataclasses.Field, value: Any) -> bool:
    """Whether `value` is a list of values to sweep over, and not one value."""
    return bool(field.metadata.get("sweep")) and isinstance(value, tuple)


def check(field: dataclasses.Field, value: Any) -> None:
    """Checks a value, or each of a list, against the field's type and rule.

    Raises:
      UserError: naming the flag, the value and what is wrong with it.
    """
    if is_flag(field) and (problem := complaint(field, value)):
        raise UserError(f"--{field.name}={shorten(format_value(value))}: {problem}")


def complaint(field: dataclasses.Field, value: Any) -> str:
    """What is wrong with a value or a list, in words for the user; empty if nothing is wrong."""
    return complaint_of_list(field, value) if is_swept(field, value) else complaint_of_one(field, value)


def complaint_of_one(field: dataclasses.Field, value: Any) -> str:
    """What is wrong with one value."""
    if typing.get_origin(field.type) is Literal and value not in typing.get_args(field.type):
        return f"must be one of {', '.join(typing.get_args(field.type))}"
    if not has_type(value, field.type):
        kind, example = describe_type(field.type), example_of(field.type)
        return f"is {'a text, and ' if isinstance(value, str) else ''}not of type {kind}" + (
            f"; give it as in {field.name}={example}" if example else ""
        )
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    rule = field.metadata["rule"]
    return field.metadata["says"] if rule and value is not None and not rule(value) else ""


def complaint_of_list(field: dataclasses.Field, items: tuple[Any, ...]) -> str:
    """What is wrong with a list, or with the first value in it that is refused."""
    if not items:
        return "the list is empty; give one value or more"
    if len(items) > MOST_VALUES:
        return f"these are {len(items):,} values; give at most {MOST_VALUES:,}"
    for item in items:
        if problem := complaint_of_one(field, item):
            return f"{format_value(item)} {problem}"
    item, times = collections.Counter(items).most_common(1)[0]
    return f"{format_value(item)} comes more than once; give each value once" if times > 1 else ""


def has_type(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotated type; an int passes for a float, a bool for neither of them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is types.UnionType:
        return any(has_type(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(item, arguments[0]) for item in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def describe_type(kind: Any) -> str:
    """A type in words for the user."""
    if typing.get_origin(kind) is tuple:
        return f"tuple of {describe_type(typing.get_args(kind)[0])}s"
    return {int: "whole number", float: "number", str: "text", bool: "boolean"}.get(kind, str(kind))


def example_of(kind: Any) -> str:
    """A value of a type as Python writes it; empty for a type of which any text is one."""
    if typing.get_origin(kind) is tuple:
        return f"({one},)" if (one := example_of(typing.get_args(kind)[0])) else ""
    if typing.get_origin(kind) is types.UnionType:
        return next(filter(None, map(example_of, typing.get_args(kind))), "")
    return {int: "3", float: "0.5", bool: "True"}.get(kind, "")


def format_value(value: Any) -> str:
    """A value as a flag's text, which `jaxgen.config.parsing.read_text` turns back into the same value."""
    if value is None:
        return AUTO
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def shorten(text: str) -> str:
    """Text cut to a length that fits into a line of an error message."""
    return text if len(text) <= 60 else f"{text[:60]}..."


def fields_in_order(spec: Any) -> list[dataclasses.Field]:
    """Fields of a spec class or instance, topics included, in the order of the help page."""
    return sorted(dataclasses.fields(spec), key=lambda field: field.metadata.get("place", Place.RUN))


def flag_fields(spec: Any) -> Iterator[tuple[Any, dataclasses.Field]]:
    """Every (owner, field) of a spec class or instance that is a flag, in the order of the help page."""
    for field in fields_in_order(spec):
        if dataclasses.is_dataclass(field.type):
            yield from flag_fields(field.type if isinstance(spec, type) else getattr(spec, field.name))
        elif is_flag(field):
            yield spec, field


def flag_values(spec: Any) -> dict[str, Any]:
    """The values of a spec's flags by name."""
    return {field.name: getattr(owner, field.name) for owner, field in flag_fields(spec)}


def spec_from_values(spec_class: type, values: Mapping[str, Any], given: Collection[str] | None = None) -> Any:
    """A spec of `spec_class` with these values of flags; the others keep their defaults.

    Args:
      spec_class: of a command or a topic.
      values: by flag.
      given: the flags that a user gave, which a preset leaves as they are; None: all in `values`.
    """
    remembered = frozenset(values if given is None else given)
    return replace_flags(spec_class(), {**values, "given": remembered})


def replace_flags(spec: Any, values: Mapping[str, Any]) -> Any:
    """The spec with these values of flags; the others stay, and so do those that count as given."""
    arguments = {}
    for field in dataclasses.fields(spec):
        if dataclasses.is_dataclass(field.type):
            arguments[field.name] = replace_flags(getattr(spec, field.name), values)
        elif field.name in values:
            arguments[field.name] = with_home(values[field.name])
    return dataclasses.replace(spec, **arguments)


def chosen_flags(spec: Any) -> set[str]:
    """The flags that a preset leaves as they are: those given, and those with another value than the default."""
    defaults = flag_values(type(spec)())
    return {name for name, value in flag_values(spec).items() if value != defaults[name]} | spec.given


def as_value(field: dataclasses.Field, value: Any) -> Any:
    """A Python argument as a field has it.

    Arrays and their scalars become numbers, lists and ranges tuples, paths texts; a text with commas, or one value,
    becomes a tuple for a field of several. A float of few bits is the shortest decimal number that rounds to it.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        is_float = not isinstance(value, float) and getattr(getattr(value, "dtype", None), "kind", "") == "f"
        value = value.astype(str).astype(float).tolist() if is_float else value.tolist()
    if isinstance(value, list | range):
        return tuple(value)
    if typing.get_origin(field.type) is not tuple:
        return value
    if isinstance(value, str) and str in typing.get_args(field.type):
        return tuple(value.split(","))
    return (value,) if isinstance(value, int | float) else value


def with_home(value: Any) -> Any:
    """A value of a flag with the user's home for ``~`` at the beginning of a path, as in ``npz:~/mine.npz``."""
    if isinstance(value, tuple):
        return tuple(map(with_home, value))
    if not isinstance(value, str):
        return value
    return re.sub(r"(?:^|(?<=:))~(?=/|$)", lambda match: os.path.expanduser("~"), value)
