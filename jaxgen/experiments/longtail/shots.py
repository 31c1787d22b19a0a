"""Many-, medium- and few-shot classes, by number of training examples or by rank of class size."""

import numpy as np

from jaxgen.config import TailSpec
from jaxgen.config.fields import format_value
from jaxgen.errors import UserError

SHOTS = ("many", "medium", "few")


def refuse_shots(spec: TailSpec, num_classes: int) -> None:
    """Raises `UserError` if shot groups are given both ways, or exceed the number of classes."""
    if not spec.shot_classes:
        return
    given = f"--shot_classes={format_value(spec.shot_classes)}"
    if spec.shots != TailSpec().shots:
        raise UserError(f"{given}: shots are by --shots={format_value(spec.shots)} already; leave one out")
    if spec.shot_classes[1] > num_classes:
        raise UserError(f"{given}: goes beyond the {num_classes} classes; lower it")


def shot_groups(counts: np.ndarray, spec: TailSpec) -> dict[str, np.ndarray]:
    """Masks of the many-, medium- and few-shot classes: bool ``[c]`` each.

    By rank, ties go to the class of the lower index.
    """
    if spec.shot_classes:
        rank = np.argsort(np.argsort(-counts, kind="stable"))
        many, few = (rank < spec.shot_classes[0]), (rank >= spec.shot_classes[1])
    else:
        many, few = counts > spec.shots[1], counts < spec.shots[0]
    return {"many": many, "medium": ~many & ~few, "few": few}


def describe_shots(counts: np.ndarray, names: tuple[str, ...], spec: TailSpec) -> str:
    """Describes the shot groups: their bounds and their classes."""
    if spec.shot_classes:
        many, few = spec.shot_classes
        rule, bounds = "by rank of class size", (f"the first {many}", f"{many + 1} to {few}", f"from {few + 1} on")
    else:
        few, many = spec.shots
        rule, bounds = "by number of training examples", (f"more than {many}", f"{few} to {many}", f"fewer than {few}")
    groups = shot_groups(counts, spec)
    listed = (
        f"{name} ({bound}): {', '.join(np.array(names)[groups[name]]) or 'none'}"
        for name, bound in zip(SHOTS, bounds, strict=True)
    )
    return f"{rule}: {'; '.join(listed)}"
