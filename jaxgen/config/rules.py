"""Rules for the values of fields, and the bases of all specs, which check them."""

import dataclasses
from typing import Any

from jaxgen.config.fields import check, is_swept


def at_least(low: float) -> dict[str, Any]:
    """Values from `low` on."""
    return {"rule": lambda value: value >= low, "says": f"must be {low} or more"}


def between(low: float, high: float) -> dict[str, Any]:
    """Values from `low` on and below `high`."""
    return {"rule": lambda value: low <= value < high, "says": f"must be at least {low} and below {high}"}


def within(low: float, high: float) -> dict[str, Any]:
    """Values from `low` to `high`, both included."""
    return {"rule": lambda value: low <= value <= high, "says": f"must be at least {low} and at most {high}"}


def above(low: float) -> dict[str, Any]:
    """Values above `low`."""
    return {"rule": lambda value: value > low, "says": f"must be above {low}"}


class Spec:
    """Base of all specs: checks every field when made, and turns a list of one value into that value.

    Raises:
      UserError: naming the flag, the value and the rule that it breaks.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field, value)
            if is_swept(field, value) and len(value) == 1:
                object.__setattr__(self, field.name, value[0])


@dataclasses.dataclass(frozen=True)
class CommandSpec(Spec):
    """Base of the specs of whole commands, which remember what was asked for.

    Attributes:
      given: names of the flags that stand on the command line, in a flag file or among the arguments of a Python call,
        at their defaults or not: a preset leaves them as they are. No flag itself, and no part of equality.
    """

    given: frozenset[str] = dataclasses.field(default=frozenset(), kw_only=True, compare=False, repr=False)
