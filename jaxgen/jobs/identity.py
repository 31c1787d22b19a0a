"""Identity of a job: the flags, data and numerics version that its runs depend on."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.types import Dataset

# Incremented whenever the same flags give other numbers than before.
NUMERICS = 6
# Versions of experiments whose numbers alone have changed since, so that stores of the others stay valid.
NUMERICS_OF: dict[str, int] = {}
# Flags that do not affect the models.
RUNTIME_FLAGS = {"width", "num_devices", "checkpoint_minutes", "save_models", "dry_run", "yes", "convolution"} | {
    "shard",
    "aggregate_only",
    "launcher",
    "ray_address",
    "ray_cpus",
}

# Augmentations added since this version of the numerics. Where none is used, an identity does not have them: it is that
# of the jobs before, whose stores stay valid.
ADDED_FLAGS = ("rotate", "augmix")


def identify(settings: Sequence[sweep.Setting], flags: Collection[str]) -> dict[str, str]:
    """Values of flags over all settings, and a digest of the settings; runtime flags are left out.

    Args:
      settings: of the job.
      flags: names of the flags that affect training.
    """
    identity = {}
    for name in sorted({*flags} - RUNTIME_FLAGS):
        values = dict.fromkeys(format_value(flag_values(setting.spec)[name]) for setting in settings)
        identity[f"--{name}"] = ",".join(values)
    identity = without_idle(identity)
    # Digest of all values: names of settings leave out common values.
    all_values = [flag_values(setting.spec) for setting in settings]
    varied = sweep.varied(settings)
    names = "\n".join(sweep.name_setting({flag: values[flag] for flag in varied}) for values in all_values)
    identity["the settings"] = f"{len(settings)} {hashlib.sha256(names.encode()).hexdigest()[:12]}"
    return identity


def make_identity(flags: Mapping[str, str], seed: int, *, experiment: str = "", **others: str) -> dict[str, str]:
    """The identity of a plan: all that a run depends on besides its group and number, as text by name.

    Args:
      flags: flags that affect training, as text by name with dashes.
      seed: of all draws.
      experiment: name of the experiment; empty for C-scores.
      **others: further dependencies, such as the data; underscores in names become spaces.
    """
    named = {name.replace("_", " "): text for name, text in others.items()}
    named |= {"the experiment": experiment} if experiment else {}
    return {**flags, "--seed": str(seed), "the numerics version": str(NUMERICS_OF.get(experiment, NUMERICS)), **named}


def typed_flags(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Flags as text by name with dashes; runtime flags are left out."""
    return without_idle(
        {f"--{name}": format_value(value) for name, value in chosen.items() if name not in RUNTIME_FLAGS}
    )


def without_idle(flags: Mapping[str, str]) -> dict[str, str]:
    """The flags, as text by name with dashes, but for those of `ADDED_FLAGS` that are off in all settings."""
    return {name: text for name, text in flags.items() if not (name[2:] in ADDED_FLAGS and text == "0")}


def describe_data(dataset: Dataset) -> str:
    """The data's name and the first digits of their digest."""
    return f"{dataset.name} {dataset.fingerprint[:12]}"
