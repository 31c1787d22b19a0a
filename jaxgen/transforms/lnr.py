"""Label-noise rebalancing (LNR): labels of large classes are flipped to smaller classes that a model predicts.

S. Hu et al., Label-noise rebalancing, ICML 2025 (PMLR 267:24535). The multi-class rule is that of the authors' code
(guangzhengh/LNR): the weight of a flip is the clipped difference of class sizes over their range, where summaries of
the paper mention inverse class frequencies. All functions are pure; thresholds may be traced. Axes: n examples,
c classes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.transforms.classes import class_counts, rank_in_class


class Flips(NamedTuple):
    """Rebalanced labels.

    Attributes:
      labels: ``[n]``, in the dtype of the input.
      changed: bool ``[n]``: whether the label differs from the input.
      z: ``[n, c]``, from `standardize`.
      rates: ``[n, c]``, from `flip_rates`.
    """

    labels: jax.Array
    changed: jax.Array
    z: jax.Array
    rates: jax.Array


@functools.partial(jax.jit, inline=True)
def standardize(probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    """Standardized class probabilities ``z_ik = (p_ik - mu_k) / sigma_k``, ``[n, c]``.

    mu_k and sigma_k (population) are taken over the examples whose label is not k. If sigma_k is 0, or all examples
    have the label k, z is 0. For NaN probabilities z is minus infinity, so that the label is not flipped.

    Args:
      probabilities: ``[n, c]``, rows that sum to 1, or NaN.
      labels: ints ``[n]``.
    """
    num_classes = probabilities.shape[1]
    known = ~jnp.isnan(probabilities)
    others = known & (labels[:, None] != jnp.arange(num_classes)[None])
    count = jnp.maximum(jnp.sum(others, axis=0), 1)
    mean = jnp.sum(jnp.where(others, probabilities, 0), axis=0) / count
    spread = jnp.sqrt(jnp.sum(jnp.where(others, (probabilities - mean[None]) ** 2, 0), axis=0) / count)
    # A spread within the rounding error of float32 sums counts as 0.
    varies = spread > 1e-5 * jnp.maximum(mean, 1e-30)
    z = jnp.where(varies[None], (probabilities - mean[None]) / jnp.where(varies, spread, 1)[None], 0)
    return jnp.where(known, z, -jnp.inf)


def flip_weights(counts: jax.Array) -> jax.Array:
    """``w_ck = max((n_c - n_k) / (n_max - n_min), 0)``, ``[c, c]``: positive only for flips to smaller classes.

    Args:
      counts: class sizes n_c ``[c]``; if all are equal, all weights are 0.
    """
    counts = counts.astype(jnp.float32)
    extent = jnp.max(counts) - jnp.min(counts)
    return jnp.maximum((counts[:, None] - counts[None]) / jnp.where(extent > 0, extent, 1), 0)


@functools.partial(jax.jit, inline=True)
def flip_rates(z: jax.Array, labels: jax.Array, *, threshold: jax.Array) -> jax.Array:
    """Flip rates ``rho_ik = max(tanh(z_ik - t), 0) w_ck``, ``[n, c]``, where c is the label of example i.

    Args:
      z: ``[n, c]``, from `standardize`.
      labels: ints ``[n]``.
      threshold: t; the authors use 7.5 for 10 classes, 14.5 for 100, and 3 as a start for two.
    """
    weights = flip_weights(class_counts(labels, z.shape[1]))
    return jnp.maximum(jnp.tanh(z - threshold), 0) * weights[labels]


@functools.partial(jax.jit, inline=True)
def accept(rates: jax.Array, labels: jax.Array, uniforms: jax.Array) -> jax.Array:
    """New labels ``[n]``: among the classes whose rate exceeds its uniform draw, the one with the largest rate.

    Ties go to the lower class. Without such a class, the label is kept.

    Args:
      rates: ``[n, c]``, from `flip_rates`.
      labels: ints ``[n]``.
      uniforms: uniform draws ``[n, c]``.
    """
    accepted = jnp.where(rates > uniforms, rates, -1.0)
    return jnp.where(jnp.max(accepted, axis=1) >= 0, jnp.argmax(accepted, axis=1), labels).astype(labels.dtype)


def lnr_flip(key: jax.Array, probabilities: jax.Array, labels: jax.Array, *, threshold: jax.Array) -> Flips:
    """Label-noise rebalancing of c classes, as in the authors' code.

    Args:
      key: of the draws, one for each example and class.
      probabilities: ``[n, c]``, of a model trained on these labels.
      labels: ints ``[n]``.
      threshold: t.
    """
    z = standardize(probabilities, labels)
    rates = flip_rates(z, labels, threshold=threshold)
    new = accept(rates, labels, jax.random.uniform(key, rates.shape))
    return Flips(new, new != labels, z, rates)


def lnr_flip_binary(
    key: jax.Array, scores: jax.Array, labels: jax.Array, *, threshold: jax.Array, minority: jax.Array | int = 1
) -> Flips:
    """The binary rule: labels of the majority flip with probability ``max(tanh(z - t), 0)``.

    ``z = (eta - mu) / sigma``, where mu and sigma of eta are taken over the majority. With the same key it equals
    `lnr_flip` for two classes of unequal size.

    Args:
      key: of the draws.
      scores: eta ``[n]``, the probability of the minority. It should be out-of-fold: on their own training examples,
        trees and nearest neighbours predict 0 or 1.
      labels: 0 or 1 ``[n]``.
      threshold: t.
      minority: the label of the minority.
    """
    is_minority = (jnp.arange(2) == minority)[None]
    z = standardize(jnp.where(is_minority, scores[:, None], 1 - scores[:, None]), labels)
    z = jnp.where(is_minority, z, 0)
    rates = jnp.where(is_minority & (labels != minority)[:, None], jnp.maximum(jnp.tanh(z - threshold), 0), 0)
    new = accept(rates, labels, jax.random.uniform(key, rates.shape))
    return Flips(new, new != labels, z, rates)


@functools.partial(jax.jit, inline=True)
def flip_chances(rates: jax.Array) -> jax.Array:
    """Probability that each label flips to each class, ``[n, c]``: accepted, and no class with a larger rate is."""
    order = jnp.argsort(-rates, axis=1, stable=True)
    ranked = jnp.take_along_axis(rates, order, axis=1)
    kept = jnp.cumprod(1 - ranked, axis=1)
    before = jnp.concatenate([jnp.ones_like(kept[:, :1]), kept[:, :-1]], axis=1)
    return jnp.take_along_axis(ranked * before, jnp.argsort(order, axis=1), axis=1)


def expected_flips(rates: jax.Array, labels: jax.Array) -> jax.Array:
    """Expected number of flips from each class (row) to each class (column), ``[c, c]``."""
    num_classes = rates.shape[1]
    return jnp.zeros((num_classes, num_classes), rates.dtype).at[labels].add(flip_chances(rates))


def count_flips(before: jax.Array, after: jax.Array, num_classes: int) -> jax.Array:
    """Number of flips from each class (row) to each class (column), int32 ``[c, c]``; 0 on the diagonal."""
    changed = (before != after).astype(jnp.int32)
    return jnp.zeros((num_classes, num_classes), jnp.int32).at[before, after].add(changed)


def flip_at_random(key: jax.Array, labels: jax.Array, flips: jax.Array) -> jax.Array:
    """A control for LNR: the same number of flips between classes, of examples chosen uniformly at random.

    Args:
      key: of the draws.
      labels: ints ``[n]``.
      flips: ints ``[c, c]``, 0 on the diagonal; the sum of a row is at most the size of its class.

    Returns:
      New labels ``[n]``.
    """
    rank = rank_in_class(key, labels, len(flips))
    ends = jnp.cumsum(flips, axis=1)[labels]
    new = jnp.sum(rank[:, None] >= ends, axis=1)
    return jnp.where(new < len(flips), new, labels).astype(labels.dtype)
