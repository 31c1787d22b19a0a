"""Presets: unions of sweeps, and the names of their settings."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxgen.config import sweep
from jaxgen.config.fields import chosen_flags, flag_values, format_value, replace_flags
from jaxgen.errors import UserError

# The name of the setting that has the most common value of every flag.
PLAIN = "plain"


class Arm(NamedTuple):
    """One sweep of a preset.

    Attributes:
      fixed: flags that define the arm; where all arms fix a flag, it cannot be given.
      usual: flags whose values are replaced by those that are given.
    """

    fixed: dict[str, Any]
    usual: dict[str, Any]


def one_by_one(
    alone: Sequence[dict[str, Any]], off: Mapping[str, Any], common: Mapping[str, Any] | None = None
) -> list[Arm]:
    """One arm for each of `alone`, in which all that the others switch on is off.

    A flag that is given replaces the value in its own arm alone, and stays off in the others.

    Args:
      alone: the flags of each arm.
      off: the value that switches a flag off.
      common: flags that all arms share.
    """
    return [
        Arm({name: nothing for name, nothing in off.items() if name not in own}, {**(common or {}), **own})
        for own in alone
    ]


def settings_of_arms(
    spec: Any, arms: Sequence[Arm], preset: str, always_named: Sequence[str] = ()
) -> list[sweep.Setting]:
    """Every setting of the arms and of the lists in `spec`, each once.

    Args:
      spec: of the command.
      arms: one or more.
      preset: their name.
      always_named: of several arms, flags that are part of every setting's name; others are where a setting's value is
        not the most common one.

    Raises:
      UserError: if a flag is given that the preset sets, and for huge sweeps without ``--yes``.
    """
    chosen = chosen_flags(spec)
    if clash := sorted(chosen & set.intersection(*({*arm.fixed} for arm in arms))):
        value = format_value(flag_values(spec)[clash[0]])
        raise UserError(f"--{clash[0]}={value}: --preset={preset} sets it; leave one of the two out")
    sweeps = []
    for arm in arms:
        usual = {name: value for name, value in arm.usual.items() if name not in chosen}
        sweeps.append(replace_flags(spec, {**usual, **arm.fixed}))
    # Before they are expanded: there may be more than memory holds.
    sweep.refuse_many(sum(map(sweep.num_settings, sweeps)), spec.num_runs, spec.compute.yes)
    specs = list(dict.fromkeys(setting.spec for part in sweeps for setting in sweep.expand(part)))
    names = name_specs(specs, len(arms), always_named)
    return [sweep.Setting(name, each) for name, each in zip(names, specs, strict=True)]


def name_specs(specs: Sequence[Any], num_arms: int, always_named: Sequence[str]) -> list[str]:
    """A name for each of several specs: of one arm, the flags in which they differ; of several, the uncommon values."""
    varied = sweep.varied([sweep.Setting("", each) for each in specs])
    values = [{name: flag_values(each)[name] for name in varied} for each in specs]
    if num_arms == 1:
        return [sweep.name_setting(own) for own in values]
    common = usual_values(values, [name for name in varied if name not in always_named])
    uncommon = [{flag: own[flag] for flag in own if flag not in common or own[flag] != common[flag]} for own in values]
    return [sweep.name_setting(own) or PLAIN for own in uncommon]


def usual_values(rows: Sequence[Mapping[str, Any]], flags: Sequence[str]) -> dict[str, Any]:
    """The value that most settings have of each flag; the earliest of equally common ones."""
    return {flag: collections.Counter(row[flag] for row in rows).most_common(1)[0][0] for flag in flags}


def set_by_preset(spec: Any, settings: Sequence[sweep.Setting]) -> dict[str, str]:
    """The flags that a preset sets, with the values that the settings have, as text.

    Args:
      spec: of the command.
      settings: of its preset.
    """
    chosen, defaults = chosen_flags(spec), flag_values(spec)
    values = [flag_values(setting.spec) for setting in settings]
    listed = {name: list(dict.fromkeys(own[name] for own in values)) for name in defaults if name not in chosen}
    return {name: ",".join(map(format_value, each)) for name, each in listed.items() if each != [defaults[name]]}
