"""Label noise. Rates may be traced, and are scalars or one for each example; a rate of 0 is the identity.

The draw of an example depends on the key and on its index. The examples chosen at one rate are among those chosen at a
higher rate, although with `permute` the labels that they exchange differ. Axes: n examples, c classes.

Sources: uniform noise that includes the true class: C. Zhang et al., Understanding deep learning requires rethinking
generalization, ICLR 2017 (https://arxiv.org/abs/1611.03530), section 2.2. Class-conditional noise by a transition
matrix: G. Patrini et al., Making Deep Neural Networks Robust to Label Noise, CVPR 2017
(https://arxiv.org/abs/1609.03683), section 3. Instance-dependent noise: X. Xia et al., Part-dependent Label Noise,
NeurIPS 2020 (https://arxiv.org/abs/2006.07836), algorithm 2.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Standard deviation of the examples' rates in instance-dependent noise (Xia et al. 2020, section 4).
SPREAD = 0.1


class Noisy(NamedTuple):
    """Noisy labels.

    Attributes:
      labels: ``[n]``, in the dtype of the input.
      changed: bool ``[n]``: whether the label differs from the input.
    """

    labels: jax.Array
    changed: jax.Array


def corrupt_uniform(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Replaces each label with probability `rate` by a uniform draw from all classes (Zhang et al. 2017).

    The draw may be the same class, so a fraction ``rate * (1 - 1 / num_classes)`` of the labels changes.
    """
    chosen_key, class_key = jax.random.split(key)
    drawn = jax.random.randint(class_key, labels.shape, 0, num_classes)
    return replace(labels, drawn, choose(chosen_key, labels, rate))


def corrupt_others(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Replaces each label with probability `rate` by a uniform draw from the other classes (symmetric noise)."""
    chosen_key, class_key = jax.random.split(key)
    shift = jax.random.randint(class_key, labels.shape, 1, num_classes)
    return replace(labels, (labels + shift) % num_classes, choose(chosen_key, labels, rate))


def corrupt_cyclic(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Replaces each label with probability `rate` by the next class, the last class by the first.

    B. Han et al., Co-teaching, NeurIPS 2018 (https://arxiv.org/abs/1804.06872) call it pair flipping.
    """
    return replace(labels, (labels + 1) % num_classes, choose(key, labels, rate))


def corrupt_pairs(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Swaps classes 0 and 1, 2 and 3, and so on, with probability `rate`; an unpaired last class is not changed."""
    partner = jnp.where(labels % 2 == 0, labels + 1, labels - 1)
    return replace(labels, jnp.where(partner < num_classes, partner, labels), choose(key, labels, rate))


def corrupt_by_matrix(
    key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int, matrix: jax.Array
) -> Noisy:
    """Replaces each label with probability `rate` by a draw from its row of a transition matrix (Patrini et al. 2017).

    Args:
      key: of the draws.
      labels: ints ``[n]``.
      rate: in [0, 1]; at 1 the matrix applies to all labels.
      num_classes: c.
      matrix: float ``[c, c]``: probability of each noisy class (column) given the true class (row).
    """
    chosen_key, class_key = jax.random.split(key)
    below = jnp.cumsum(matrix, axis=1)[labels]
    # Scaled by the computed sum of the row, so that rounding cannot lead past the last class.
    drawn = jnp.sum(jax.random.uniform(class_key, labels.shape)[:, None] * below[:, -1:] >= below, axis=1)
    return replace(labels, jnp.minimum(drawn, num_classes - 1), choose(chosen_key, labels, rate))


def permute(key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int) -> Noisy:
    """Chooses each example with probability `rate` and permutes the labels of the chosen ones.

    The number of examples of each class does not change.
    """
    del num_classes
    chosen_key, order_key = jax.random.split(key)
    chosen = choose(chosen_key, labels, rate)
    shuffled = jnp.argsort(jnp.where(chosen, jax.random.uniform(order_key, labels.shape), 2.0))
    ordered = jnp.argsort(~chosen, stable=True)
    # The k-th chosen example gets the label of the k-th in shuffled order. Both orders end with the others.
    drawn = labels.at[ordered].set(labels[shuffled])
    return replace(labels, drawn, chosen)


def corrupt_by_instance(
    key: jax.Array, labels: jax.Array, *, rate: jax.Array, num_classes: int, images: jax.Array
) -> Noisy:
    """Instance-dependent noise: similar images of a class get similar wrong labels (Xia et al. 2020, algorithm 2).

    The rate of each example is drawn from a normal distribution with mean `rate` and standard deviation 0.1, truncated
    to [0, 1]. Near 0 and 1 the mean rate therefore differs from `rate` (it is 0.1 at 0.05). The probabilities of the
    other classes are a softmax of a random projection of the pixels, one projection for each true class.

    Args:
      key: of the draws.
      labels: ints ``[n]``.
      rate: in [0, 1].
      num_classes: c.
      images: float ``[n, ...]``.
    """
    rate_key, projection_key, chosen_key, class_key = jax.random.split(key, 4)
    flat = images.reshape(len(labels), -1)
    bounds = ((0 - rate) / SPREAD, (1 - rate) / SPREAD)
    example_rates = rate + SPREAD * jax.random.truncated_normal(rate_key, *bounds, labels.shape)
    # At 0 no label is chosen, at 1 all are.
    example_rates = jnp.where((rate <= 0) | (rate >= 1), rate, example_rates)
    projections = jax.random.normal(projection_key, (num_classes, flat.shape[1], num_classes))

    def project(k: jax.Array, scores: jax.Array) -> jax.Array:
        projected = jnp.matmul(flat, projections[k], precision="highest")
        return jnp.where(labels[:, None] == k, projected, scores)

    # One class at a time, because all at once would take c times the memory.
    scores = jax.lax.fori_loop(0, num_classes, project, jnp.zeros((len(labels), num_classes)))
    others = jnp.where(jnp.arange(num_classes)[None] == labels[:, None], -jnp.inf, scores)
    drawn = jax.random.categorical(class_key, others, axis=1)
    return replace(labels, drawn, jax.random.uniform(chosen_key, labels.shape) < example_rates)


def make_noise(
    kind: str, num_classes: int, matrix: jax.Array | None = None
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], Noisy]:
    """A function ``(key, labels [n], rate, images [n, ...]) -> Noisy`` for one of `KINDS`.

    Args:
      kind: one of `KINDS`.
      num_classes: c.
      matrix: ``[c, c]``, for the kind ``matrix``.
    """

    def corrupt(key: jax.Array, labels: jax.Array, rate: jax.Array, images: jax.Array) -> Noisy:
        extra = {"matrix": {"matrix": matrix}, "instance": {"images": images}}.get(kind, {})
        return KINDS[kind](key, labels, rate=rate, num_classes=num_classes, **extra)

    return corrupt


def choose(key: jax.Array, labels: jax.Array, rate: jax.Array) -> jax.Array:
    """A mask of examples, bool ``[n]``, each True with probability `rate`."""
    return jax.random.uniform(key, labels.shape) < rate


def replace(labels: jax.Array, drawn: jax.Array, chosen: jax.Array) -> Noisy:
    """Labels replaced by `drawn` where `chosen`; all ``[n]``."""
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
