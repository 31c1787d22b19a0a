"""Fingerprint of a job: the flags, data and draws that its runs depend on."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.types import Dataset

# Raised whenever the same flags would give other numbers than before.
NUMERICS = 5

# The same for experiments whose own numbers have changed since: other stores are still found.
NUMERICS_OF = {"lnr": 6}
# Flags of a run's environment, which no model depends on.
RUNTIME_FLAGS = {"width", "num_devices", "checkpoint_minutes", "save_models", "dry_run", "yes", "convolution"} | {
    "shard",
    "aggregate_only",
    "launcher",
    "ray_address",
    "ray_cpus",
}


def identify(settings: Sequence[sweep.Setting], flags: Collection[str]) -> dict[str, str]:
    """The values of flags over all settings, and a digest of the settings.

    Runtime flags are left out. A value counts whether a preset set it or the user.

    Args:
      settings: of the job.
      flags: names of those that decide training.
    """
    identity = {}
    for name in sorted({*flags} - RUNTIME_FLAGS):
        found = dict.fromkeys(format_value(flag_values(each.spec)[name]) for each in settings)
        identity[f"--{name}"] = ",".join(found)
    # By all their values: a name leaves out what most settings have.
    valued = [flag_values(setting.spec) for setting in settings]
    varied = sweep.varied(settings)
    listed = "\n".join(sweep.name_setting({flag: each[flag] for flag in varied}) for each in valued)
    identity["the settings"] = f"{len(settings)} {hashlib.sha256(listed.encode()).hexdigest()[:12]}"
    return identity


def make_identity(flags: Mapping[str, str], seed: int, *, experiment: str = "", **others: str) -> dict[str, str]:
    """All that a run depends on besides its group and number, in words: the identity of a plan.

    Args:
      flags: those that decide training, as they are typed, with their dashes.
      seed: of all draws.
      experiment: its name; C-scores, which came first, have none.
      others: what else decides, such as the data; an underscore in a name is a space.
    """
    named = {name.replace("_", " "): text for name, text in others.items()}
    named |= {"the experiment": experiment} if experiment else {}
    return {**flags, "--seed": str(seed), "the numerics version": str(NUMERICS_OF.get(experiment, NUMERICS)), **named}


def typed_flags(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Flags by name with dashes, as they are typed; those of the run's environment are left out."""
    return {f"--{name}": format_value(value) for name, value in chosen.items() if name not in RUNTIME_FLAGS}


def describe_data(dataset: Dataset) -> str:
    """The data's name and the first digits of their digest."""
    return f"{dataset.name} {dataset.fingerprint[:12]}"
