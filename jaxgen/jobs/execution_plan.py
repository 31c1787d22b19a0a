"""Execution plans: width, convolution back-ends and microbatch size of a program, and how stores record them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxgen.models.convolution import BACKENDS, Geometry


class ExecutionPlan(NamedTuple):
    """How a program is executed; recorded with its runs, as other plans round differently.

    Attributes:
      width: members per device in one batched program.
      microbatch_size: examples whose gradients are computed together; None: the whole batch.
      backends: back-end of each convolution.
      asked_width: value of ``--width``, if given; `width` is smaller if that did not fit into memory.
      block: number of consecutive runs that one driver trains where several share a store (`jaxgen.runs.shards`).
    """

    width: int
    microbatch_size: int | None
    backends: Mapping[Geometry, str]
    asked_width: int | None = None
    block: int | None = None

    def settings(self) -> dict[str, Any]:
        """The plan as JSON values, as recorded in the store."""
        convolutions = {str(geometry): name for geometry, name in self.backends.items()}
        asked_width = {"asked_width": self.asked_width} if self.asked_width not in (None, self.width) else {}
        block = {"block": self.block} if self.block else {}
        return {
            "width": self.width,
            "microbatch_size": self.microbatch_size,
            "convolutions": convolutions,
            **asked_width,
            **block,
        }


def is_execution_plan(settings: Mapping[str, Any], geometries: list[str]) -> bool:
    """Whether JSON values are a valid execution plan of a network.

    Args:
      settings: as of `ExecutionPlan.settings`.
      geometries: the network's convolutions, as text.
    """
    backends = settings.get("convolutions")
    counts = [settings.get("width"), settings.get("microbatch_size"), settings.get("asked_width")]
    return (
        isinstance(backends, dict)
        and all(backends.get(geometry) in BACKENDS for geometry in geometries)
        and all(count is None or (type(count) is int and count > 0) for count in counts)
        and counts[0] is not None
    )
