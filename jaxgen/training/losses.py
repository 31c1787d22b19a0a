"""Losses of one batch. Axes: b batch, c classes."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: jax.Array | float = 0.0) -> jax.Array:
    """Softmax cross-entropy of each example, in nats, with label smoothing.

    The target is ``1 - smoothing`` on the label plus ``smoothing / c`` on every class, the label's too (Szegedy et al.
    2016, "Rethinking the Inception architecture for computer vision", section 7, https://arxiv.org/abs/1512.00567).

    Args:
      logits: ``[b, c]``.
      labels: integer ``[b]`` in ``0..c-1``.
      smoothing: in [0, 1), a scalar or ``[b]``; 0 is the plain cross-entropy to the bit.

    Returns:
      ``[b]``, each 0 or more.
    """
    chosen = jnp.sum(jnp.where(labels[:, None] == jnp.arange(logits.shape[-1])[None], logits, 0), axis=-1)
    expected = (1 - smoothing) * chosen + weigh(smoothing, jnp.mean(logits, axis=-1))
    return jax.nn.logsumexp(logits, axis=-1) - expected


def mixed_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    partner_labels: jax.Array,
    share: jax.Array | float,
    smoothing: jax.Array | float = 0.0,
) -> jax.Array:
    """Cross-entropy of examples that were mixed with partners: each label counts by its share.

    It is that of the mixed label, for cross-entropy is linear in its target (Zhang et al. 2018, "mixup: beyond
    empirical risk minimization", https://arxiv.org/abs/1710.09412; CutMix, Yun et al. 2019, mixes labels alike).

    Args:
      logits: ``[b, c]``.
      labels: integer ``[b]`` in ``0..c-1``.
      partner_labels: the same, of the partners.
      share: the label's part in [0, 1], a scalar or ``[b]``; at 1 the partner does not count, to the bit, even if its
        own loss is infinite.
      smoothing: as in `cross_entropy`.

    Returns:
      ``[b]``, in nats.
    """
    own, partner = (cross_entropy(logits, each, smoothing) for each in (labels, partner_labels))
    return weigh(share, own) + weigh(1 - share, partner)


def weigh(weight: jax.Array | float, values: jax.Array) -> jax.Array:
    """``weight * values [b]``, but 0 where `weight`, a scalar or ``[b]``, is 0, whatever the value."""
    return jnp.where(weight > 0, weight * values, 0)


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of ``values [b]`` under ``weights [b]``; 0 if all weights are 0."""
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1)
