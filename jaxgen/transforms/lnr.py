"""Label-noise rebalancing: labels of large classes flipped to smaller ones where a model takes them for those.

S. Hu et al., Label-noise rebalancing, ICML 2025 (PMLR 267:24535), called LNR. The multi-class rule is that of the
authors' code (guangzhengh/LNR): the weight of a flip is the clipped difference of class sizes over their range, where
summaries of the paper speak of an inverse class frequency. Pure functions; thresholds may be traced. Axes: n examples,
c classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.transforms.classes import class_counts, rank_in_class


class Flips(NamedTuple):
    """What became of labels.

    Attributes:
      labels: of the dtype given, ``[n]``.
      changed: bool ``[n]``: exactly where the label is another than before.
      z: ``[n, c]``, from `standardize`.
      rates: ``[n, c]``, from `flip_rates`.
    """

    labels: jax.Array
    changed: jax.Array
    z: jax.Array
    rates: jax.Array


def standardize(probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    """How unusually likely each class is for each example: ``z_ik = (p_ik - mu_k) / sigma_k``.

    mu_k and sigma_k (population) are over the examples whose label is not k; of a class that is as likely for all of
    them, or that no example is without, z is 0: nobody stands out. Of an example of unknown probabilities (NaN) z is
    minus infinity: its label stays.

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
    # Below the rounding of float32 sums there is no spread.
    stands_out = spread > 1e-5 * jnp.maximum(mean, 1e-30)
    z = jnp.where(stands_out[None], (probabilities - mean[None]) / jnp.where(stands_out, spread, 1)[None], 0)
    return jnp.where(known, z, -jnp.inf)


def flip_weights(counts: jax.Array) -> jax.Array:
    """``w_ck = max((n_c - n_k) / (n_max - n_min), 0)`` ``[c, c]``: labels go to strictly smaller classes only.

    Args:
      counts: n_c ``[c]``; where all are alike there is nothing to rebalance, and all weights are 0.
    """
    counts = counts.astype(jnp.float32)
    reach = jnp.max(counts) - jnp.min(counts)
    return jnp.maximum((counts[:, None] - counts[None]) / jnp.where(reach > 0, reach, 1), 0)


def flip_rates(z: jax.Array, labels: jax.Array, *, threshold: jax.Array) -> jax.Array:
    """``rho_ik = max(tanh(z_ik - t), 0) w_ck`` ``[n, c]``, c being the label of i: how likely each flip is by itself.

    Args:
      z: ``[n, c]``, from `standardize`.
      labels: ints ``[n]``.
      threshold: t; the authors took 7.5 for 10 classes and 14.5 for 100, and begin at 3 for two.
    """
    weights = flip_weights(class_counts(labels, z.shape[1]))
    return jnp.maximum(jnp.tanh(z - threshold), 0) * weights[labels]


def accept(rates: jax.Array, labels: jax.Array, uniforms: jax.Array) -> jax.Array:
    """New labels ``[n]``: of the classes whose rate exceeds their uniform draw, the one of the largest rate.

    The lowest class of those with the same rate; the old label where there is none. ``rates``, ``uniforms``:
    ``[n, c]``.
    """
    accepted = jnp.where(rates > uniforms, rates, -1.0)
    return jnp.where(jnp.max(accepted, axis=1) >= 0, jnp.argmax(accepted, axis=1), labels).astype(labels.dtype)


def lnr_flip(key: jax.Array, probabilities: jax.Array, labels: jax.Array, *, threshold: jax.Array) -> Flips:
    """Label-noise rebalancing of c classes, as the authors' code has it.

    Args:
      key: of the draws, one an example and class.
      probabilities: ``[n, c]``, of a model trained before on these labels.
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
    """The binary rule: a label of the majority flips with probability ``max(tanh(z - t), 0)``.

    ``z = (eta - mu) / sigma``, mu and sigma of eta over the majority. The same as `lnr_flip` of two classes, which are
    not equally large, by the same key.

    Args:
      key: of the draws.
      scores: eta ``[n]``: the probability of the minority. Of examples that the model was trained on, eta of a tree or
        of nearest neighbours is 0 or 1: give out-of-fold probabilities.
      labels: 0 or 1 ``[n]``.
      threshold: t.
      minority: which of the labels is the minority's.
    """
    own = (jnp.arange(2) == minority)[None]
    z = standardize(jnp.where(own, scores[:, None], 1 - scores[:, None]), labels)
    z = jnp.where(own, z, 0)
    rates = jnp.where(own & (labels != minority)[:, None], jnp.maximum(jnp.tanh(z - threshold), 0), 0)
    new = accept(rates, labels, jax.random.uniform(key, rates.shape))
    return Flips(new, new != labels, z, rates)


def flip_chances(rates: jax.Array) -> jax.Array:
    """With which probability each label becomes each class, ``[n, c]``: of no other class of a larger rate accepted."""
    order = jnp.argsort(-rates, axis=1, stable=True)
    ranked = jnp.take_along_axis(rates, order, axis=1)
    kept = jnp.cumprod(1 - ranked, axis=1)
    before = jnp.concatenate([jnp.ones_like(kept[:, :1]), kept[:, :-1]], axis=1)
    return jnp.take_along_axis(ranked * before, jnp.argsort(order, axis=1), axis=1)


def expected_flips(rates: jax.Array, labels: jax.Array) -> jax.Array:
    """How many labels of each class are expected to become each other class, ``[c, c]``, before anything is drawn."""
    num_classes = rates.shape[1]
    return jnp.zeros((num_classes, num_classes), rates.dtype).at[labels].add(flip_chances(rates))


def count_flips(before: jax.Array, after: jax.Array, num_classes: int) -> jax.Array:
    """How many labels of each class became each class, int32 ``[c, c]``; 0 on the diagonal."""
    changed = (before != after).astype(jnp.int32)
    return jnp.zeros((num_classes, num_classes), jnp.int32).at[before, after].add(changed)


def flip_at_random(key: jax.Array, labels: jax.Array, flips: jax.Array) -> jax.Array:
    """The control: as many labels of each class become each other class, whoever they are of.

    Args:
      key: of the draw.
      labels: ints ``[n]``.
      flips: ints ``[c, c]``, 0 on the diagonal, in a row no more than its class has labels.

    Returns:
      New labels ``[n]``.
    """
    rank = rank_in_class(key, labels, len(flips))
    ends = jnp.cumsum(flips, axis=1)[labels]
    new = jnp.sum(rank[:, None] >= ends, axis=1)
    return jnp.where(new < len(flips), new, labels).astype(labels.dtype)
