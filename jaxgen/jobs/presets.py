"""A union of sweeps: what the presets of experiments are made of, and how its settings are named."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value, spec_from_values
from jaxgen.errors import UserError

# Of several sweeps together, the name of a setting that has what most settings have.
PLAIN = "plain"


class Arm(NamedTuple):
    """A sweep that is part of a preset.

    Attributes:
      fixed: flags that make the arm what it is.
      usual: flags that may be given by hand instead.
    """

    fixed: dict[str, Any]
    usual: dict[str, Any]


def one_by_one(
    alone: Sequence[dict[str, Any]], off: Mapping[str, Any], common: Mapping[str, Any] | None = None
) -> list[Arm]:
    """An arm for each of `alone`, the flags in `off` being off in all others: what is given by hand is its own arm's.

    Args:
      alone: the flags of each arm.
      off: by flag what leaves it out.
      common: what all arms have besides.
    """
    return [
        Arm({name: nothing for name, nothing in off.items() if name not in own}, {**(common or {}), **own})
        for own in alone
    ]


def settings_of_arms(
    spec: Any, arms: Sequence[Arm], preset: Any, always_named: Sequence[str] = ()
) -> list[sweep.Setting]:
    """Every setting of the arms and of the lists in `spec`, each once.

    Args:
      spec: of the job.
      arms: one or more.
      preset: the part of `spec` that has ``preset`` and ``keep``.
      always_named: what settings of several arms are named by in any case; by other flags, where theirs is not what
        most settings have.

    Raises:
      UserError: if a flag is given that the preset decides, and for huge sweeps without consent.
    """
    given, usual = flag_values(spec), flag_values(type(spec)())
    if unknown := sorted({*preset.keep} - given.keys()):
        raise UserError(f"--keep={unknown[0]}: no such flag; --help lists them")
    chosen = {name for name, value in given.items() if value != usual[name]} | {*preset.keep}
    if clash := sorted(chosen & set.intersection(*({*arm.fixed} for arm in arms))):
        value = format_value(given[clash[0]])
        raise UserError(f"--{clash[0]}={value}: --preset={preset.preset} sets it; leave one of the two out")
    parts = []
    for arm in arms:
        own = {name: value for name, value in arm.usual.items() if name not in chosen}
        parts.append(spec_from_values(type(spec), {**given, **own, **arm.fixed}))
    # Before they are expanded: there may be more than memory holds.
    sweep.refuse_many(sum(map(sweep.num_settings, parts)), spec.num_runs, spec.compute.yes)
    found = dict.fromkeys(setting.spec for part in parts for setting in sweep.expand(part))
    varied = sweep.varied([sweep.Setting("", one) for one in found])
    own = [{name: flag_values(one)[name] for name in varied} for one in found]
    if len(arms) > 1:
        most = usual_values(own, [name for name in varied if name not in always_named])
        own = [{name: value for name, value in each.items() if name not in most or value != most[name]} for each in own]
        return [sweep.Setting(sweep.name_setting(each) or PLAIN, one) for each, one in zip(own, found, strict=True)]
    return [sweep.Setting(sweep.name_setting(each), one) for each, one in zip(own, found, strict=True)]


def usual_values(rows: Sequence[Mapping[str, Any]], flags: Sequence[str]) -> dict[str, Any]:
    """What most settings have of each flag; the earliest of as frequent ones."""
    return {flag: collections.Counter(row[flag] for row in rows).most_common(1)[0][0] for flag in flags}
