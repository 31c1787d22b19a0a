"""Label noise: labels in, labels and a mask of what changed out; rates may be traced, one number or one an example.

An example's draw depends on the key and on the example's place, and the examples chosen at one rate are among those
chosen at a higher rate, but for `permute`, whose partners change too. A rate of 0 is the identity. Axes: n examples,
c classes.

Sources: uniform noise with the true class included is that of C. Zhang et al., Understanding deep learning requires
rethinking generalization, ICLR 2017 (https://arxiv.org/abs/1611.03530), section 2.2; class-conditional noise by a
matrix of G. Patrini et al., Making Deep Neural Networks Robust to Label Noise, CVPR 2017
(https://arxiv.org/abs/1609.03683), section 3; instance-dependent noise of X. Xia et al., Part-dependent Label Noise,
NeurIPS 2020 (https://arxiv.org/abs/2006.07836), algorithm 2.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Standard deviation of an example's own rate around the given one (Xia et al. 2020, section 4).
SPREAD = 0.1


class Noisy(NamedTuple):
    """Labels after noise.

    Attributes:
      labels: of the dtype given, ``[n]``.
      changed: bool ``[n]``: exactly where the label is another than before.
    """

    labels: jax.Array
    changed: jax.Array


def corrupt_uniform(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """With probability `rate` a label becomes any class, its own included, each equally likely (Zhang et al. 2017).

    A share of ``rate * (1 - 1 / num_classes)`` changes.
    """
    chosen_key, class_key = jax.random.split(key)
    drawn = jax.random.randint(class_key, labels.shape, 0, num_classes)
    return replace(labels, drawn, choose(chosen_key, labels, rate))


def corrupt_others(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """With probability `rate` a label becomes one of the other classes, each equally likely (symmetric noise)."""
    chosen_key, class_key = jax.random.split(key)
    shift = jax.random.randint(class_key, labels.shape, 1, num_classes)
    return replace(labels, (labels + shift) % num_classes, choose(chosen_key, labels, rate))


def corrupt_cyclic(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """With probability `rate` a label becomes the next class, and the last one the first.

    Called pair flipping by B. Han et al., Co-teaching, NeurIPS 2018 (https://arxiv.org/abs/1804.06872).
    """
    return replace(labels, (labels + 1) % num_classes, choose(key, labels, rate))


def corrupt_pairs(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """With probability `rate` classes 0 and 1 swap, 2 and 3, and so on; the last of an odd number stays."""
    partner = jnp.where(labels % 2 == 0, labels + 1, labels - 1)
    return replace(labels, jnp.where(partner < num_classes, partner, labels), choose(key, labels, rate))


def corrupt_by_matrix(
    key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int, matrix: jax.Array
) -> Noisy:
    """With probability `rate` a label is drawn anew from its class's row of a matrix (Patrini et al. 2017).

    Args:
      key: of the draw.
      labels: ints ``[n]``.
      rate: in [0, 1]; 1 is the matrix as it stands.
      num_classes: c.
      matrix: float ``[c, c]``, rows of probabilities: from the true class to the one given.
    """
    chosen_key, class_key = jax.random.split(key)
    below = jnp.cumsum(matrix, axis=1)[labels]
    # Scaled by the row's sum as computed, so that no draw falls behind the last class.
    drawn = jnp.sum(jax.random.uniform(class_key, labels.shape)[:, None] * below[:, -1:] >= below, axis=1)
    return replace(labels, jnp.minimum(drawn, num_classes - 1), choose(chosen_key, labels, rate))


def permute(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Each example is chosen with probability `rate`, and the labels of the chosen are permuted among them.

    So every class has exactly as many examples as before.
    """
    del num_classes
    chosen_key, order_key = jax.random.split(key)
    chosen = choose(chosen_key, labels, rate)
    shuffled = jnp.argsort(jnp.where(chosen, jax.random.uniform(order_key, labels.shape), 2.0))
    places = jnp.argsort(~chosen, stable=True)
    # The k-th chosen example gets the label of the k-th in the shuffled order; the others are behind, and stay.
    drawn = labels.at[places].set(labels[shuffled])
    return replace(labels, drawn, chosen)


def corrupt_by_instance(
    key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int, images: jax.Array
) -> Noisy:
    """Noise that depends on the image: alike images of a class go wrong alike (Xia et al. 2020, algorithm 2).

    Each example has a rate of its own, normal around `rate` with standard deviation 0.1 and cut to [0, 1], so that near
    0 and 1 their mean is not quite `rate` (0.1 at 0.05); which other class it becomes follows a
    random projection of its pixels, one for each class.

    Args:
      key: of the draw.
      labels: ints ``[n]``.
      rate: in [0, 1].
      num_classes: c.
      images: float ``[n, ...]``.
    """
    rate_key, projection_key, chosen_key, class_key = jax.random.split(key, 4)
    flat = images.reshape(len(labels), -1)
    bounds = ((0 - rate) / SPREAD, (1 - rate) / SPREAD)
    own_rate = rate + SPREAD * jax.random.truncated_normal(rate_key, *bounds, labels.shape)
    # A rate of nothing is nothing, and of everything everything, to the bit.
    own_rate = jnp.where((rate <= 0) | (rate >= 1), rate, own_rate)
    projections = jax.random.normal(projection_key, (num_classes, flat.shape[1], num_classes))

    def project(k: jax.Array, scores: jax.Array) -> jax.Array:
        projected = jnp.matmul(flat, projections[k], precision="highest")
        return jnp.where(labels[:, None] == k, projected, scores)

    # One class after another: all at once would take c times the memory.
    scores = jax.lax.fori_loop(0, num_classes, project, jnp.zeros((len(labels), num_classes)))
    others = jnp.where(jnp.arange(num_classes)[None] == labels[:, None], -jnp.inf, scores)
    drawn = jax.random.categorical(class_key, others, axis=1)
    return replace(labels, drawn, jax.random.uniform(chosen_key, labels.shape) < own_rate)


def make_noise(
    kind: str, num_classes: int, matrix: jax.Array | None = None
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], Noisy]:
    """``(key, labels [n], rate, images [n, ...]) -> Noisy``, by one of `KINDS`."""

    def corrupt(key: jax.Array, labels: jax.Array, rate: jax.Array, images: jax.Array) -> Noisy:
        further = {"matrix": {"matrix": matrix}, "instance": {"images": images}}.get(kind, {})
        return KINDS[kind](key, labels, rate=rate, num_classes=num_classes, **further)

    return corrupt


def choose(key: jax.Array, labels: jax.Array, rate: jax.Array) -> jax.Array:
    """Bool ``[n]``: each true with probability `rate`."""
    return jax.random.uniform(key, labels.shape) < rate


def replace(labels: jax.Array, drawn: jax.Array, chosen: jax.Array) -> Noisy:
    """The drawn labels where chosen."""
    noisy = jnp.where(chosen, drawn.astype(labels.dtype), labels)
    return Noisy(noisy, noisy != labels)


KINDS: dict[str, Callable[..., Noisy]] = {
    "uniform": corrupt_uniform,
    "others": corrupt_others,
    "cyclic": corrupt_cyclic,
    "pairs": corrupt_pairs,
    "matrix": corrupt_by_matrix,
    "permutation": permute,
    "instance": corrupt_by_instance,
}
