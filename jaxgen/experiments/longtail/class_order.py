"""Class-balanced sampling orders. Axes: p positions in the stream, n examples, c classes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.order import draw_rounds, draw_rounds_each, send
from jaxgen.keys import StreamDraw, draw_key
from jaxgen.transforms.classes import class_counts

# Consecutive examples of one class, as in the class-aware sampler of MiSLAS.
VISIT = 4


class ClassGroups(NamedTuple):
    """Examples sorted by class.

    Attributes:
      members: ints ``[n]``: indices of the examples of class 0, of class 1, ...; excluded examples come last.
      first, counts: ints ``[c]``: offset of each class in `members`, and its number of examples.
    """

    members: jax.Array
    first: jax.Array
    counts: jax.Array


def group_by_class(labels: jax.Array, chosen: jax.Array, num_classes: int) -> ClassGroups:
    """Groups the examples selected by the mask `chosen`, bool ``[n]``, by their labels ``[n]``."""
    sort_labels = jnp.where(chosen, labels, num_classes)
    counts = class_counts(sort_labels, num_classes + 1)[:num_classes]
    return ClassGroups(jnp.argsort(sort_labels, stable=True).astype(jnp.int32), jnp.cumsum(counts) - counts, counts)


class OrderPositions(NamedTuple):
    """Positions in random orders of the classes, one for each of p examples of a stream.

    Attributes:
      rounds: uint32 ``[8, p]``: round keys of the permutation (`jaxgen.engine.order.send`).
      place: ints ``[p]``: position in the permutation.
      sizes: ints ``[p]``: number of examples in the class.
      first: ints ``[p]``: offset of the class in `ClassGroups.members`.
    """

    rounds: jax.Array
    place: jax.Array
    sizes: jax.Array
    first: jax.Array


def draw_class_aware(key: jax.Array, count: int, groups: ClassGroups) -> jax.Array:
    """Draws the first `count` examples of a class-balanced stream: int32 ``[count]``.

    Args:
      key: key of the stream.
      count: number of examples to draw.
      groups: examples by class.
    """
    positions = draw_positions(key, count, groups)
    return groups.members[positions.first + send(positions.rounds, positions.place, positions.sizes)]


def draw_positions(key: jax.Array, count: int, groups: ClassGroups) -> OrderPositions:
    """The stream of `draw_class_aware` as positions in random orders of the classes.

    Classes are visited in cycles, reshuffled each cycle, and each visit draws `VISIT` examples. The examples of a class
    are reshuffled once all of them have been drawn. This is the sampler of Z. Zhong et al., CVPR 2021 (MiSLAS), after
    L. Shen et al., Relay Backpropagation, ECCV 2016 (https://arxiv.org/abs/1512.05830). Empty classes are skipped.
    """
    num_classes = len(groups.counts)
    present = jnp.argsort(groups.counts == 0, stable=True)
    num_present = jnp.sum(groups.counts > 0)
    visits = jnp.arange(-(-count // VISIT), dtype=jnp.int32)
    cycle = visits // num_present
    rounds = draw_rounds_each(draw_key(key, StreamDraw.CLASSES), cycle)
    visited = present[send(rounds, visits % num_present, num_present)]
    classes, cycle = (jnp.repeat(per_visit, VISIT)[:count] for per_visit in (visited, cycle))
    # Examples of the same class drawn so far.
    before = cycle * VISIT + jnp.arange(count, dtype=jnp.int32) % VISIT
    sizes = jnp.maximum(groups.counts[classes], 1)
    rounds = draw_rounds_each(draw_key(key, StreamDraw.EXAMPLES), classes + num_classes * (before // sizes))
    return OrderPositions(rounds, before % sizes, sizes, groups.first[classes])


def draw_either(
    key: jax.Array, count: int, examples: jax.Array, size: jax.Array, groups: ClassGroups, aware: jax.Array
) -> jax.Array:
    """Draws a class-balanced order if `aware`, else a random order of all examples: int32 ``[count]``.

    Mapped over members with and without class balance, it permutes with a single `send`.

    Args:
      key: key of the order.
      count: length of the order; in a random order, entries from `size` on are meaningless.
      examples: int32 ``[n]``: indices of the member's examples, in the first `size` entries.
      size: number of the member's examples.
      groups: the same examples by class.
      aware: bool scalar: whether the order is class-balanced.
    """
    plain, balanced = jnp.arange(count, dtype=jnp.int32), draw_positions(key, count, groups)
    rounds = jnp.where(aware, balanced.rounds, draw_rounds(key)[:, None])
    sent = send(rounds, jnp.where(aware, balanced.place, plain), jnp.where(aware, balanced.sizes, size))
    return jnp.where(aware, groups.members[balanced.first + sent], examples[sent])
