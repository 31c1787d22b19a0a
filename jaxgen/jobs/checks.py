"""Checks of jobs before and after training, shared by all experiments."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgen.config import LnrSpec, sweep
from jaxgen.config.fields import fields_in_order, flag_values, format_value
from jaxgen.errors import Diverged, UserError
from jaxgen.wording import all_of, count_of


def refuse_empty_validation(spec: Any, count: int, what: str) -> None:
    """Raises `UserError` if early stopping would have no validation example among the `count` examples of `what`."""
    share = min(sweep.alternatives(spec.stopping.validation_share))
    if any(sweep.alternatives(spec.stopping.patience)) and int(count * share) < 1:
        raise UserError(
            f"--validation_share={share:g}: is none of the {count_of(count, 'example')} of {what}; raise it"
        )


def refuse_precision(precision: str, platform: str) -> None:
    """Raises `UserError` for a precision that the devices do not support."""
    if precision == "tf32" and platform != "gpu":
        raise UserError(
            f"--precision=tf32: is a format of GPUs, and the devices here are of kind {platform}; leave it out"
        )


def refuse_all_diverged(rows: Sequence[Mapping[str, Any]], unit: str = "model") -> None:
    """Raises `Diverged` if all members did; `rows` has one row per member, which is called a `unit`."""
    if not any(row["finite"] for row in rows):
        raise Diverged(
            f"{all_of(len(rows), unit)} diverged; lower --learning_rate or give --clip_norm, with another --out"
        )


def refuse_idle(spec: LnrSpec, heeded: Sequence[str], protocol: str, idle: Sequence[str] = ()) -> None:
    """Checks that no flag is given which has no effect.

    Args:
      spec: the flags.
      heeded: topics whose flags are used.
      protocol: flag that names the protocol, for the message.
      idle: names of flags of these topics that are not used.

    Raises:
      UserError: naming the first such flag.
    """
    usual = LnrSpec()
    for field in fields_in_order(LnrSpec):
        part = getattr(spec, field.name)
        taken = field.name in (*heeded, "data", "compute")
        if not dataclasses.is_dataclass(part):
            continue
        for name, value in flag_values(part).items():
            if taken and name not in idle:
                continue
            if value != flag_values(getattr(usual, field.name))[name] and name != "protocol":
                raise UserError(f"--{name}={format_value(value)}: does nothing with {protocol}; leave it out")
