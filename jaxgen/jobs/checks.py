"""What a job refuses before or after training, whatever its experiment."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgen.config import LnrSpec, sweep
from jaxgen.config.fields import fields_in_order, flag_values, format_value
from jaxgen.errors import UserError


def refuse_empty_validation(spec: Any, count: int, what: str) -> None:
    """Refuses a ``--validation_share`` that is none of `count` examples, those of `what`, where members stop by it."""
    share = min(sweep.alternatives(spec.stopping.validation_share))
    if any(sweep.alternatives(spec.stopping.patience)) and int(count * share) < 1:
        raise UserError(f"--validation_share={share:g}: is none of the {count} examples of {what}; raise it")


def refuse_precision(precision: str, platform: str) -> None:
    """Refuses a precision that the devices do not have."""
    if precision == "tf32" and platform != "gpu":
        raise UserError(
            f"--precision=tf32: is a format of GPUs, and the devices here are of kind {platform}; leave it out"
        )


def refuse_all_diverged(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuses to report a job all of whose members diverged.

    Args:
      rows: one a member.

    Raises:
      UserError: if no member stayed finite.
    """
    if not any(row["finite"] for row in rows):
        raise UserError(
            f"all {len(rows)} models diverged; lower --learning_rate or give --clip_norm, with another --out"
        )


def refuse_idle(spec: LnrSpec, heeded: Sequence[str], protocol: str, idle: Sequence[str] = ()) -> None:
    """Refuses flags that have no effect: those of topics that are not `heeded`, and the `idle` ones of those that are.

    Raises:
      UserError: naming the first.
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
