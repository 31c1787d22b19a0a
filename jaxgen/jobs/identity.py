"""What tells a job of settings from any other, beside its data: the part of a plan's identity that flags make."""

import hashlib
from collections.abc import Collection, Sequence

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value

# Raised whenever the same flags would give other numbers than before: in all experiments, or in one of them.
NUMERICS = 5
NUMERICS_OF = {"lnr": 1}

# Flags of a run's environment, which no model depends on.
RUNTIME_FLAGS = {"width", "num_devices", "checkpoint_minutes", "save_models", "dry_run", "yes", "convolution"} | {
    "shard",
    "aggregate_only",
    "launcher",
    "ray_address",
    "ray_cpus",
}


def numerics_version(experiment: str) -> str:
    """The version of an experiment's numbers, such as ``5`` or, where it has had changes of its own, ``5.1``."""
    changes = NUMERICS_OF.get(experiment, 0)
    return f"{NUMERICS}.{changes}" if changes else f"{NUMERICS}"


def identify(settings: Sequence[sweep.Setting], flags: Collection[str]) -> dict[str, str]:
    """By flag what the settings have, whether by a preset or by hand, but for the circumstances; and a digest of all.

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
