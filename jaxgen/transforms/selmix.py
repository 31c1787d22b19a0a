"""Selective mixup (SelMix): pairs of classes to mix, by their gain in mean recall. Axes: c classes, f features.

S. Ramasubramanian et al., Selective Mixup Fine-Tuning for Optimizing Non-Decomposable Objectives, ICLR 2024
(https://arxiv.org/abs/2403.18301; code val-iisc/SelMix). A gain is the derivative of mean recall along one gradient
step of the classifier on a mixture of two classes' mean features. For the logit of the label, the authors' code has
``z_i . z_k`` in place of ``m_ij . z_k``; this module follows the derivation. As in their code, c^-3 is added to the
probability of each pair. Without it one pair would get nearly all draws for 50 steps, and a class that is never
predicted would have zero slope and never recover.
"""

import jax
import jax.numpy as jnp

# Hyperparameters of the authors: least weight of the first feature, temperature, steps between updates of the gains.
LEAST, TEMPERATURE, EVERY = 0.6, 0.1, 50


def confusion_shares(labels: jax.Array, predictions: jax.Array, num_classes: int) -> jax.Array:
    """Class-balanced confusion matrix, ``[c, c]``: labels in rows, predictions in columns.

    Each row sums to 1 / c; the row of a class without examples is 0.
    """
    counts = jnp.zeros((num_classes, num_classes)).at[labels, predictions].add(1)
    return counts / jnp.maximum(jnp.sum(counts, axis=1, keepdims=True), 1) / num_classes


def recall_slopes(confusion: jax.Array) -> jax.Array:
    """Derivatives of mean recall with respect to the logits A of the confusion matrix C, ``[c, c]``.

    ``dM / dA_kl = C_kk (1[k = l] - c C_kl)``, where ``C_k = softmax(A_k) / c`` and M is the sum of all ``C_kk``.
    """
    num_classes, right = len(confusion), jnp.diagonal(confusion)
    return right[:, None] * (jnp.eye(num_classes) - num_classes * confusion)


def mixing_gains(slopes: jax.Array, means: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Gain in mean recall of a gradient step, of size 1, on mixtures of class i with class j, labelled i: ``[c, c]``.

    ``G_ij = sum_kl dM / dA_kl (m_ij . z_k) (1[l = i] - softmax(W m_ij + b)_l)``, where ``m_ij`` is the mixture of the
    classes' mean features with the expected weight.

    Args:
      slopes: from `recall_slopes`.
      means: mean features of the classes, z ``[c, f]``.
      kernel, bias: of the classifier, ``[f, c]`` and ``[c]``.
    """
    share = (LEAST + 1) / 2
    mixtures = share * means[:, None] + (1 - share) * means[None]
    probabilities = jax.nn.softmax(mixtures @ kernel + bias[None, None])
    similarities = mixtures @ means.T
    slopes_along_step = slopes.T[:, None] - jnp.einsum("kl,ijl->ijk", slopes, probabilities)
    return jnp.sum(similarities * slopes_along_step, axis=-1)


def pair_logits(gains: jax.Array) -> jax.Array:
    """Log probability of each pair of classes, ``[c, c]``: a softmax over positive gains, plus c^-3, normalized.

    If no gain is positive, it is uniform.
    """
    positive, num_classes = gains > 0, len(gains)
    logits = jnp.where(positive, gains / TEMPERATURE, jnp.where(jnp.any(positive), -jnp.inf, 0.0))
    weights = jax.nn.softmax(logits, axis=(0, 1)) + num_classes**-3
    return jnp.log(weights / (1 + 1 / num_classes))
