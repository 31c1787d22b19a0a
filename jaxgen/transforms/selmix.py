"""Selective mixup: which classes' features are mixed, by what that gains in mean recall. Axes: c classes, f features.

S. Ramasubramanian et al., Selective Mixup Fine-Tuning for Optimizing Non-Decomposable Objectives, ICLR 2024
(https://arxiv.org/abs/2403.18301; code val-iisc/SelMix), called SelMix. A gain is the slope of mean recall along one
gradient step of the classifier's weights on a mixture of two classes' mean features. The authors' code has
``z_i . z_k`` in place of ``m_ij . z_k`` where the label's own logit moves; here it is as derived. The c^-3 that it adds
to the chances of all pairs is here too: without it one pair takes nearly all draws for fifty steps, and a class that no
example is taken for any more has no slope that would bring it back.
"""

import jax
import jax.numpy as jnp

# As the authors took them: the least share of the first feature, the temperature, steps between two tables of gains.
LEAST, TEMPERATURE, EVERY = 0.6, 0.1, 50


def confusion_shares(labels: jax.Array, predictions: jax.Array, num_classes: int) -> jax.Array:
    """Which share of examples has which label (rows) and prediction, ``[c, c]``, as if all classes had as many.

    A row sums to 1 / c; that of a class without examples is 0.
    """
    counts = jnp.zeros((num_classes, num_classes)).at[labels, predictions].add(1)
    return counts / jnp.maximum(jnp.sum(counts, axis=1, keepdims=True), 1) / num_classes


def recall_slopes(confusion: jax.Array) -> jax.Array:
    """How mean recall grows with the logits that confusion shares are softmaxes of, ``[c, c]``.

    ``dM / dA_kl = C_kk (1[k = l] - c C_kl)``, where ``C_k = softmax(A_k) / c`` and M is the sum of all ``C_kk``.
    """
    num_classes, right = len(confusion), jnp.diagonal(confusion)
    return right[:, None] * (jnp.eye(num_classes) - num_classes * confusion)


def mixing_gains(slopes: jax.Array, means: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """What a gradient step on mixtures of class i with class j, labelled i, gains: ``[c, c]``, for a step size of 1.

    ``G_ij = sum_kl dM / dA_kl (m_ij . z_k) (1[l = i] - softmax(W m_ij + b)_l)``, ``m_ij`` being the mixture of the
    classes' mean features in the expected share.

    Args:
      slopes: from `recall_slopes`.
      means: features of the classes z ``[c, f]``.
      kernel, bias: of the classifier ``[f, c]`` and ``[c]``.
    """
    share = (LEAST + 1) / 2
    mixtures = share * means[:, None] + (1 - share) * means[None]
    likely = jax.nn.softmax(mixtures @ kernel + bias[None, None])
    moved = mixtures @ means.T
    own = slopes.T[:, None] - jnp.einsum("kl,ijl->ijk", slopes, likely)
    return jnp.sum(moved * own, axis=-1)


def pair_logits(gains: jax.Array) -> jax.Array:
    """Logarithms of the chance of each pair ``[c, c]``: a softmax over positive gains, and c^-3 more for every pair.

    Where no gain is positive, all pairs are drawn alike.
    """
    positive, num_classes = gains > 0, len(gains)
    logits = jnp.where(positive, gains / TEMPERATURE, jnp.where(jnp.any(positive), -jnp.inf, 0.0))
    chances = jax.nn.softmax(logits, axis=(0, 1)) + num_classes**-3
    return jnp.log(chances / (1 + 1 / num_classes))
