"""Losses of one batch. Axes: b batch, c classes."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross-entropy of each example, in nats.

    Args:
      logits: ``[b, c]``.
      labels: integer ``[b]`` in ``0..c-1``.

    Returns:
      ``[b]``, each 0 or more.
    """
    chosen = jnp.sum(jnp.where(labels[:, None] == jnp.arange(logits.shape[-1])[None], logits, 0), axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean of ``values [b]`` under ``weights [b]``; 0 if all weights are 0."""
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1)
