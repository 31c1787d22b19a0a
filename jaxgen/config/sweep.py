"""Fields that take lists: how one is declared, checked and written, and the settings that a spec's lists span.

It knows no spec by name: `jaxgen.config` declares its fields with `option`, `hparam` and `optional_hparam`.
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

# More members than anyone trains by mistake.
MANY = 10_000
# As long as a setting's name may be: a file's name holds 255 characters, and more than the setting.
LONGEST_NAME = 120


class Setting(NamedTuple):
    """One combination of a spec's lists: a short name that files may have, and a spec with one value a field."""

    name: str
    spec: Any


def alternatives(value: Any) -> tuple[Any, ...]:
    """The values that a list, or one value, asks for."""
    return value if isinstance(value, tuple) else (value,)


def swept(spec: Any) -> tuple[str, ...]:
    """Names of the flags that hold lists."""
    return tuple(field.name for owner, field in flag_fields(spec) if is_swept(field, getattr(owner, field.name)))


def varied(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Names of the flags in which the settings differ."""
    chosen = [flag_values(setting.spec) for setting in settings]
    return tuple(name for name in chosen[0] if any(one[name] != chosen[0][name] for one in chosen))


def num_settings(spec: Any) -> int:
    """How many settings `expand` gives."""
    chosen = flag_values(spec)
    return math.prod(len(chosen[name]) for name in swept(spec))


def expand(spec: Any) -> list[Setting]:
    """Every combination of the lists in `spec`; the last list varies fastest."""
    chosen, names = flag_values(spec), swept(spec)
    settings = []
    for combination in itertools.product(*(chosen[name] for name in names)):
        own = dict(zip(names, combination, strict=True))
        settings.append(Setting(name_setting(own), replace_flags(spec, own)))
    return settings


def name_setting(own: dict[str, Any]) -> str:
    """A name such as ``weight_decay=0.0001,dropout=0.1``: different for different values, safe for a file."""
    name = ",".join(f"{flag}={urllib.parse.quote(format_value(value), safe='+')}" for flag, value in own.items())
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST_NAME - len(digest) - 1]}-{digest}"


def group(settings: Sequence[Setting]) -> list[list[int]]:
    """Positions of the settings that one compiled program serves: they differ in knobs only."""
    groups = collections.defaultdict(list)
    for position, setting in enumerate(settings):
        groups[decisive_values(setting.spec)].append(position)
    return list(groups.values())


def decisive_values(spec: Any) -> tuple[Any, ...]:
    """The values, among those that may be swept, that a program is compiled for."""
    decides = lambda field: field.metadata["sweep"] and not field.metadata["hparam"]  # noqa: E731
    return tuple(getattr(owner, field.name) for owner, field in flag_fields(spec) if decides(field))


def hparams_in_use(specs: Sequence[Any]) -> frozenset[str]:
    """The regularizers and augmentations that are not 0 in some of `specs`, which hold no lists."""
    return frozenset(
        field.name
        for spec in specs
        for owner, field in flag_fields(spec)
        if field.metadata["optional"] and getattr(owner, field.name) != 0
    )


def refuse_many(num_settings: int, models_each: int, yes: bool) -> None:
    """Asks for a word of consent before very many members are trained.

    Args:
      num_settings: combinations of the lists of flags.
      models_each: of each setting.
      yes: whether it was given.

    Raises:
      UserError: if there are more than `MANY` and no consent.
    """
    num_members = num_settings * models_each
    if num_members > MANY and not yes:
        raise UserError(
            f"{num_settings:,} settings of {models_each:,} models each are {num_members:,} members, more than "
            f"{MANY:,}; give fewer values in lists, fewer --num_runs, or --yes to train them all"
        )
