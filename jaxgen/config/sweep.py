"""Sweeps: the settings that the lists in a spec span, their names, and which of them share a compiled program.

It knows no spec by name: which fields take lists, and which are hyperparameters that members of one program may differ
in, is said where fields are declared (`jaxgen.config.fields.option`, `hparam` and `optional_hparam`).
"""

import collections
import hashlib
import itertools
import math
import urllib.parse
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxgen.config.fields import flag_fields, flag_values, format_value, is_swept, replace_flags
from jaxgen.errors import UserError
from jaxgen.wording import count_of

# More members than this are trained only with --yes.
MANY = 10_000
# Characters of a setting's name. A file's name may have 255, and holds more than the setting.
LONGEST_NAME = 120


class Setting(NamedTuple):
    """One combination of the values in a spec's lists.

    Attributes:
      name: short, and safe in the names of files; empty if the spec has no lists.
      spec: with one value for each field.
    """

    name: str
    spec: Any


def alternatives(value: Any) -> tuple[Any, ...]:
    """The values of a field: all of a list, or the one."""
    return value if isinstance(value, tuple) else (value,)


def swept(spec: Any) -> tuple[str, ...]:
    """Names of the flags that have lists."""
    return tuple(field.name for owner, field in flag_fields(spec) if is_swept(field, getattr(owner, field.name)))


def varied(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Names of the flags in which the settings differ."""
    values = [flag_values(setting.spec) for setting in settings]
    return tuple(name for name in values[0] if any(own[name] != values[0][name] for own in values))


def num_settings(spec: Any) -> int:
    """How many settings `expand` gives, without making them."""
    values = flag_values(spec)
    return math.prod(len(values[name]) for name in swept(spec))


def expand(spec: Any) -> list[Setting]:
    """Every combination of the values in the lists of `spec`; the last list varies fastest."""
    values, names = flag_values(spec), swept(spec)
    settings = []
    for combination in itertools.product(*(values[name] for name in names)):
        chosen = dict(zip(names, combination, strict=True))
        settings.append(Setting(name_setting(chosen), replace_flags(spec, chosen)))
    return settings


def name_setting(values: dict[str, Any]) -> str:
    """A name such as ``weight_decay=0.0001,dropout=0.1``, of values by flag.

    Different values have different names, and all names are safe for files; long ones end in a digest.
    """
    name = ",".join(f"{flag}={urllib.parse.quote(format_value(value), safe='+')}" for flag, value in values.items())
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST_NAME - len(digest) - 1]}-{digest}"


def group(settings: Sequence[Setting]) -> list[list[int]]:
    """Positions of the settings that share a compiled program: those that differ in hyperparameters only."""
    groups = collections.defaultdict(list)
    for position, setting in enumerate(settings):
        groups[compiled_values(setting.spec)].append(position)
    return list(groups.values())


def compiled_values(spec: Any) -> tuple[Any, ...]:
    """The values, among those that may be swept, that a program is compiled for."""
    return tuple(
        getattr(owner, field.name)
        for owner, field in flag_fields(spec)
        if field.metadata["sweep"] and not field.metadata["hparam"]
    )


def hparams_in_use(specs: Sequence[Any]) -> frozenset[str]:
    """The regularizers and augmentations that some of `specs`, which have no lists, switch on."""
    return frozenset(
        field.name
        for spec in specs
        for owner, field in flag_fields(spec)
        if field.metadata["optional"] and getattr(owner, field.name) != 0
    )


def refuse_many(num_settings: int, models_each: int, yes: bool) -> None:
    """Refuses to train very many members unless the user has agreed.

    Args:
      num_settings: combinations of the values in lists.
      models_each: models of each setting.
      yes: whether the user gave ``--yes``.

    Raises:
      UserError: if there are more than `MANY` members and no ``--yes``.
    """
    num_members = num_settings * models_each
    if num_members > MANY and not yes:
        raise UserError(
            f"{num_settings:,} settings of {count_of(models_each, 'model')} each are {num_members:,} members, more "
            f"than {MANY:,}; give fewer values in lists, fewer --num_runs, or --yes to train them all"
        )
