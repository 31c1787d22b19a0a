"""Loss functions. Axes: b batch, c classes."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: jax.Array | float = 0.0) -> jax.Array:
    """Softmax cross-entropy of each example, in nats, with label smoothing.

    The target is ``1 - smoothing`` on the label plus ``smoothing / c`` on every class, including the label (Szegedy et
    al. 2016, "Rethinking the Inception architecture for computer vision", section 7, https://arxiv.org/abs/1512.00567).

    Args:
      logits: ``[b, c]``.
      labels: integer ``[b]`` in ``0..c-1``.
      smoothing: in [0, 1), a scalar or ``[b]``; 0 is exactly the plain cross-entropy.

    Returns:
      Nonnegative losses ``[b]``.
    """
    label_logits = jnp.sum(jnp.where(labels[:, None] == jnp.arange(logits.shape[-1])[None], logits, 0), axis=-1)
    expected = (1 - smoothing) * label_logits + weigh(smoothing, jnp.mean(logits, axis=-1))
    return jax.nn.logsumexp(logits, axis=-1) - expected


def mixed_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    partner_labels: jax.Array,
    share: jax.Array | float,
    smoothing: jax.Array | float = 0.0,
) -> jax.Array:
    """Cross-entropy of mixed examples: a weighted mean of the losses for both labels.

    This equals the loss for the mixed label, because cross-entropy is linear in its target (Zhang et al. 2018, "mixup:
    beyond empirical risk minimization", https://arxiv.org/abs/1710.09412; likewise for CutMix, Yun et al. 2019).

    Args:
      logits: ``[b, c]``.
      labels: integer ``[b]`` in ``0..c-1``.
      partner_labels: labels of the partners, integer ``[b]``.
      share: weight of `labels` in [0, 1], a scalar or ``[b]``; at 1 the result is exactly the loss of `labels`, even if
        that of the partner is infinite.
      smoothing: as in `cross_entropy`.

    Returns:
      ``[b]``, in nats.
    """
    label_loss, partner_loss = (cross_entropy(logits, target, smoothing) for target in (labels, partner_labels))
    return weigh(share, label_loss) + weigh(1 - share, partner_loss)


def subtract_margins(logits: jax.Array, labels: jax.Array, margins: jax.Array) -> jax.Array:
    """Logits ``[b, c]`` with that of each label lowered by the margin of its class, of ``margins [c]``.

    Their cross-entropy is the LDAM loss, if logits and margins are on the same scale (Cao et al. 2019, "Learning
    imbalanced datasets with label-distribution-aware margin loss", section 3.2, https://arxiv.org/abs/1906.07413).
    """
    return logits - jnp.where(labels[:, None] == jnp.arange(logits.shape[-1])[None], margins[None], 0)


def weigh(weight: jax.Array | float, values: jax.Array) -> jax.Array:
    """``weight * values [b]``; 0 where `weight`, a scalar or ``[b]``, is 0, even if the value is not finite."""
    return jnp.where(weight > 0, weight * values, 0)


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Sum of ``values [b]`` times ``weights [b]`` over the sum of weights, which counts as at least 1."""
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1)
