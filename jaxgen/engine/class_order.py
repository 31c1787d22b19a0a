"""Orders in which classes of unequal size are seen alike. Axes: p positions, n examples, c classes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.order import permute_each
from jaxgen.transforms.classes import class_counts

# Of a class at each visit, as in the class-aware sampler of MiSLAS.
VISIT = 4
CLASSES, EXAMPLES = 1, 2


class ByClass(NamedTuple):
    """Examples in the order of their classes.

    Attributes:
      members: int ``[n]``: the examples of class 0, of class 1, ...; those left out at the end.
      first, counts: ints ``[c]``: where the examples of each class begin, and how many there are.
    """

    members: jax.Array
    first: jax.Array
    counts: jax.Array


def group_by_class(labels: jax.Array, chosen: jax.Array, num_classes: int) -> ByClass:
    """The examples that `chosen`, bool ``[n]``, names, by their labels ``[n]``."""
    placed = jnp.where(chosen, labels, num_classes)
    counts = class_counts(placed, num_classes + 1)[:num_classes]
    return ByClass(jnp.argsort(placed, stable=True).astype(jnp.int32), jnp.cumsum(counts) - counts, counts)


def draw_class_aware(key: jax.Array, positions: jax.Array, groups: ByClass) -> jax.Array:
    """The example at each position of a stream in which all classes come equally often: int32 ``[p]``.

    Classes are visited in cycles, each cycle in another random order, and a visit gives `VISIT` examples; the examples
    of a class come in another random order whenever all of them have come. So samples Z. Zhong et al., CVPR 2021
    (MiSLAS), after L. Shen et al., Relay Backpropagation, ECCV 2016 (https://arxiv.org/abs/1512.05830). A class
    without examples is not visited.

    Args:
      key: of the stream.
      positions: ints ``[p]``, from 0.
      groups: whom from.
    """
    num_classes = len(groups.counts)
    present = jnp.argsort(groups.counts == 0, stable=True)
    number = jnp.sum(groups.counts > 0)
    visit, within = positions // VISIT, positions % VISIT
    cycle, place = visit // number, visit % number
    numbers = jnp.broadcast_to(number, place.shape)
    chosen = present[permute_each(jax.random.fold_in(key, CLASSES), place, numbers, cycle)]
    # How many examples of its class have come before.
    before, size = cycle * VISIT + within, jnp.maximum(groups.counts[chosen], 1)
    streams = chosen + num_classes * (before // size)
    drawn = permute_each(jax.random.fold_in(key, EXAMPLES), before % size, size, streams)
    return groups.members[groups.first[chosen] + drawn]
