"""Metrics of predictions, computed on the device during training. Axes: n examples, c classes."""

import functools

import jax
import jax.numpy as jnp

NUM_BINS = 15


@functools.partial(jax.jit, static_argnames="num_bins", inline=True)
def expected_calibration_error(confidence: jax.Array, correct: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """Expected calibration error, a scalar in [0, 1].

    It is the mean of |accuracy - mean confidence| over bins of equal width in confidence, weighted by their number of
    examples. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks. ICML 2017.
    https://arxiv.org/abs/1706.04599, equation 3, with their 15 bins.

    Args:
      confidence: float ``[n]`` in [0, 1]: the probability of the predicted class.
      correct: bool ``[n]``.
      num_bins: number of bins; the first is (0, 1/num_bins].
    """
    # In each bin, |sum of correct - sum of confidence| = count * |accuracy - mean confidence|.
    difference = jnp.zeros(num_bins).at[bin_places(confidence, num_bins)].add(correct - confidence)
    return jnp.sum(jnp.abs(difference)) / len(confidence)


def bin_places(confidence: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """Index of the equal-width bin of each confidence, int ``[n]``; bin 0 is [0, 1/num_bins]."""
    return jnp.clip(jnp.ceil(confidence * num_bins).astype(jnp.int32) - 1, 0, num_bins - 1)


@functools.partial(jax.jit, static_argnames="num_bins", inline=True)
def reliability(confidence: jax.Array, correct: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """A reliability diagram, ``[3, num_bins]``: number of examples, mean confidence and accuracy of each bin.

    Means of an empty bin are 0. Arguments are those of `expected_calibration_error`.
    """
    columns = jnp.stack([jnp.ones_like(confidence), confidence, correct.astype(confidence.dtype)])
    sums = jnp.zeros((3, num_bins)).at[:, bin_places(confidence, num_bins)].add(columns)
    return sums.at[1:].divide(jnp.maximum(sums[:1], 1))


def maximum_calibration_error(diagram: jax.Array) -> jax.Array:
    """The largest |accuracy - mean confidence| over nonempty bins (Guo et al. 2017, equation 5).

    Args:
      diagram: ``[3, num_bins]``, from `reliability`.
    """
    count, confidence, accuracy = diagram
    return jnp.max(jnp.where(count > 0, jnp.abs(accuracy - confidence), 0))


def margins(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The logit of the label minus the largest other logit: float ``[n]``, negative where the label is not predicted.

    Args:
      logits: ``[n, c]``.
      labels: int ``[n]``.
    """
    is_label = jnp.arange(logits.shape[-1])[None] == labels[:, None]
    return jnp.sum(jnp.where(is_label, logits, 0), -1) - jnp.max(jnp.where(is_label, -jnp.inf, logits), -1)
