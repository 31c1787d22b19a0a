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
      fixed: flags that define the arm; a flag that all arms fix cannot be given.
      usual: defaults of the arm, which given flags replace.
    """

    fixed: dict[str, Any]
    usual: dict[str, Any]


def one_by_one(
    alone: Sequence[dict[str, Any]], off: Mapping[str, Any], common: Mapping[str, Any] | None = None
) -> list[Arm]:
    """Makes an arm for each of `alone`, in which the flags of the other arms are off.

    A flag that the user gives replaces the value in its own arm only, and stays off in the others.

    Args:
      alone: flags of each arm.
      off: for each flag, the value that switches it off.
      common: flags that all arms share.
    """
    return [
        Arm(
            {name: off_value for name, off_value in off.items() if name not in arm_flags},
            {**(common or {}), **arm_flags},
        )
        for arm_flags in alone
    ]


def settings_of_arms(
    spec: Any, arms: Sequence[Arm], preset: str, always_named: Sequence[str] = ()
) -> list[sweep.Setting]:
    """The distinct settings of the arms, combined with the lists in `spec`.

    Args:
      spec: of the command.
      arms: one or more.
      preset: name of the preset.
      always_named: flags that are part of every setting's name if there are several arms; other flags are named only
        where a setting's value is not the most common one.

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
    # Before expansion: the settings may not fit into memory.
    sweep.refuse_many(sum(map(sweep.num_settings, sweeps)), spec.num_runs, spec.compute.yes)
    specs = list(dict.fromkeys(setting.spec for part in sweeps for setting in sweep.expand(part)))
    names = name_specs(specs, len(arms), always_named)
    return [sweep.Setting(name, setting_spec) for name, setting_spec in zip(names, specs, strict=True)]


def name_specs(specs: Sequence[Any], num_arms: int, always_named: Sequence[str]) -> list[str]:
    """Names of specs: by the flags in which they differ for one arm; by uncommon values for several arms."""
    varied = sweep.varied([sweep.Setting("", spec) for spec in specs])
    values = [{name: flag_values(spec)[name] for name in varied} for spec in specs]
    if num_arms == 1:
        return [sweep.name_setting(flags) for flags in values]
    common = usual_values(values, [name for name in varied if name not in always_named])
    uncommon = [
        {flag: flags[flag] for flag in flags if flag not in common or flags[flag] != common[flag]} for flags in values
    ]
    return [sweep.name_setting(flags) or PLAIN for flags in uncommon]


def usual_values(rows: Sequence[Mapping[str, Any]], flags: Sequence[str]) -> dict[str, Any]:
    """The most common value of each flag; the first of ties."""
    return {flag: collections.Counter(row[flag] for row in rows).most_common(1)[0][0] for flag in flags}


def set_by_preset(spec: Any, settings: Sequence[sweep.Setting]) -> dict[str, str]:
    """The flags that a preset sets, with their values in the settings as text.

    Args:
      spec: of the command.
      settings: of its preset.
    """
    chosen, defaults = chosen_flags(spec), flag_values(spec)
    values = [flag_values(setting.spec) for setting in settings]
    listed = {
        name: list(dict.fromkeys(setting_values[name] for setting_values in values))
        for name in defaults
        if name not in chosen
    }
    return {
        name: ",".join(map(format_value, distinct)) for name, distinct in listed.items() if distinct != [defaults[name]]
    }
