"""Measures of predictions that training computes by the thousand on its devices. Axes: n examples, c classes."""

import jax
import jax.numpy as jnp

NUM_BINS = 15


def expected_calibration_error(confidence: jax.Array, correct: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """How far confidence is from accuracy, a scalar in [0, 1]: over bins of equal width of the confidence, the mean of
    |accuracy - mean confidence| weighted by how many examples are in a bin.

    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks. ICML 2017.
    https://arxiv.org/abs/1706.04599, equation 3, with their 15 bins.

    Args:
      confidence: float ``[n]`` in [0, 1]: the probability of the class predicted.
      correct: bool ``[n]``.
      num_bins: how many bins; (0, 1/num_bins] is the first.
    """
    # |sum of right - sum of confidence| in a bin is its weight times its distance, times n.
    difference = jnp.zeros(num_bins).at[bin_places(confidence, num_bins)].add(correct - confidence)
    return jnp.sum(jnp.abs(difference)) / len(confidence)


def bin_places(confidence: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """The bin of equal width of each confidence, int ``[n]``: 0 is (0, 1/num_bins], and 0 itself."""
    return jnp.clip(jnp.ceil(confidence * num_bins).astype(jnp.int32) - 1, 0, num_bins - 1)


def reliability(confidence: jax.Array, correct: jax.Array, num_bins: int = NUM_BINS) -> jax.Array:
    """A reliability diagram, ``[3, num_bins]``: of each bin how many examples, the mean confidence, the accuracy; the
    means of an empty bin are 0. Arguments as of `expected_calibration_error`."""
    columns = jnp.stack([jnp.ones_like(confidence), confidence, correct.astype(confidence.dtype)])
    sums = jnp.zeros((3, num_bins)).at[:, bin_places(confidence, num_bins)].add(columns)
    return sums.at[1:].divide(jnp.maximum(sums[:1], 1))


def maximum_calibration_error(diagram: jax.Array) -> jax.Array:
    """The largest |accuracy - mean confidence| of a bin that is not empty (Guo et al. 2017, equation 5)."""
    count, confidence, accuracy = diagram
    return jnp.max(jnp.where(count > 0, jnp.abs(accuracy - confidence), 0))


def margins(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """By how much the label's logit is above the highest other one: float ``[n]``, below 0 where the label is not what
    is predicted.

    Args:
      logits: ``[n, c]``.
      labels: int ``[n]``.
    """
    own = jnp.arange(logits.shape[-1])[None] == labels[:, None]
    return jnp.sum(jnp.where(own, logits, 0), -1) - jnp.max(jnp.where(own, -jnp.inf, logits), -1)
