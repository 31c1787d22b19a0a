"""Orders in which classes of unequal size are seen alike. Axes: p examples of a stream, n examples, c classes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.order import draw_rounds, draw_rounds_each, send
from jaxgen.keys import StreamDraw, draw_key
from jaxgen.transforms.classes import class_counts

# Of a class at each visit, as in the class-aware sampler of MiSLAS.
VISIT = 4


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


class Places(NamedTuple):
    """Where in a random order of its class each of p examples stands.

    Attributes:
      rounds: uint32 ``[8, p]``: which order, as `jaxgen.engine.order.send` has it.
      place: ints ``[p]``: the place.
      sizes: ints ``[p]``: how many examples the class has.
      first: ints ``[p]``: where they begin in `ByClass.members`.
    """

    rounds: jax.Array
    place: jax.Array
    sizes: jax.Array
    first: jax.Array


def draw_class_aware(key: jax.Array, count: int, groups: ByClass) -> jax.Array:
    """The first `count` examples of a stream in which all classes come equally often: int32 ``[count]``.

    Args:
      key: of the stream.
      count: how many.
      groups: whom from.
    """
    places = draw_places(key, count, groups)
    return groups.members[places.first + send(places.rounds, places.place, places.sizes)]


def draw_places(key: jax.Array, count: int, groups: ByClass) -> Places:
    """The stream of `draw_class_aware`, as places in the orders of its classes.

    Classes are visited in cycles, each cycle in another random order, and a visit gives `VISIT` examples; the examples
    of a class come in another random order whenever all of them have come. So samples Z. Zhong et al., CVPR 2021
    (MiSLAS), after L. Shen et al., Relay Backpropagation, ECCV 2016 (https://arxiv.org/abs/1512.05830). A class
    without examples is not visited.
    """
    num_classes = len(groups.counts)
    present = jnp.argsort(groups.counts == 0, stable=True)
    number = jnp.sum(groups.counts > 0)
    visits = jnp.arange(-(-count // VISIT), dtype=jnp.int32)
    cycle = visits // number
    rounds = draw_rounds_each(draw_key(key, StreamDraw.CLASSES), cycle)
    visited = present[send(rounds, visits % number, number)]
    chosen, cycle = (jnp.repeat(each, VISIT)[:count] for each in (visited, cycle))
    # How many examples of its class have come before.
    before = cycle * VISIT + jnp.arange(count, dtype=jnp.int32) % VISIT
    sizes = jnp.maximum(groups.counts[chosen], 1)
    rounds = draw_rounds_each(draw_key(key, StreamDraw.EXAMPLES), chosen + num_classes * (before // sizes))
    return Places(rounds, before % sizes, sizes, groups.first[chosen])


def draw_either(
    key: jax.Array, count: int, own: jax.Array, size: jax.Array, groups: ByClass, aware: jax.Array
) -> jax.Array:
    """`draw_class_aware` if `aware`, a scalar, holds, and else a random order of one's own examples: int32 ``[count]``.

    Mapped over members of both kinds, one `send` serves them all.

    Args:
      key: of the order.
      count: how many examples; of a random order, those from `size` on mean nothing.
      own: int32 ``[n]``: the examples to order are the first `size` ones.
      size: how many they are.
      groups: the same by class.
      aware: which.
    """
    positions, places = jnp.arange(count, dtype=jnp.int32), draw_places(key, count, groups)
    rounds = jnp.where(aware, places.rounds, draw_rounds(key)[:, None])
    sent = send(rounds, jnp.where(aware, places.place, positions), jnp.where(aware, places.sizes, size))
    return jnp.where(aware, groups.members[places.first + sent], own[sent])
