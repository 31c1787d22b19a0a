"""Imbalanced classes: counts, weights, priors and label smoothing. Axes: n examples, c classes.

Effective numbers: Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019
(https://arxiv.org/abs/1901.05555). Logit adjustment: A. K. Menon et al., Long-tail learning via logit adjustment, ICLR
2021 (https://arxiv.org/abs/2007.07314). Label-aware smoothing: Z. Zhong et al., Improving Calibration for Long-Tailed
Recognition, CVPR 2021 (https://arxiv.org/abs/2104.00466), called MiSLAS. Mixed labels: H.-P. Chou et al., Remix:
Rebalanced Mixup, ECCV 2020 Workshops (https://arxiv.org/abs/2007.03943). Margins: K. Cao et al., Learning Imbalanced
Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019 (https://arxiv.org/abs/1906.07413), called LDAM.
"""

import functools

import jax
import jax.numpy as jnp

SHAPES = ("concave", "linear", "convex")
# Hyperparameters of Remix, as in the paper: thresholds for the ratio of class sizes and for the mixing weight.
KAPPA, TAU = 3.0, 0.5


@functools.partial(jax.jit, static_argnums=1, inline=True)
def class_counts(labels: jax.Array, num_classes: int) -> jax.Array:
    """Number of examples of each class: int32 ``[c]``."""
    return jnp.zeros(num_classes, jnp.int32).at[labels].add(1)


@functools.partial(jax.jit, static_argnums=2, inline=True)
def rank_in_class(key: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """Rank of each example in a random permutation of its class: int ``[n]`` from 0."""
    order = jnp.lexsort((jax.random.uniform(key, labels.shape), labels))
    counts = class_counts(labels, num_classes)
    first = jnp.cumsum(counts) - counts
    return jnp.zeros_like(order).at[order].set(jnp.arange(len(labels))) - first[labels]


def inverse_weights(counts: jax.Array) -> jax.Array:
    """Inverse-frequency weights ``[c]``: equal total weight for every class, mean weight 1 over examples.

    The weight of a class without examples is 0.
    """
    counts = counts.astype(jnp.float32)
    present = jnp.sum(counts > 0)
    return jnp.where(counts > 0, jnp.sum(counts) / (present * jnp.maximum(counts, 1)), 0)


@functools.partial(jax.jit, inline=True)
def effective_weights(counts: jax.Array, beta: float = 0.9999) -> jax.Array:
    """Weights ``[c]`` by the effective number of examples, ``(1 - beta) / (1 - beta^n)`` (Cui et al. 2019, eq. 2).

    They sum to c. As `beta` approaches 1 they become inverse frequencies; at 0 all weights are 1.
    """
    counts = jnp.maximum(counts.astype(jnp.float32), 1)
    # expm1 keeps the precision of 1 - beta^n for small n.
    weights = 1 / -jnp.expm1(counts * jnp.log(jnp.maximum(beta, 1e-30)))
    return weights * len(counts) / jnp.sum(weights)


def ldam_margins(counts: jax.Array, largest: float = 0.5) -> jax.Array:
    """Margins ``[c]`` proportional to ``n^(-1/4)``, for n examples in a class (Cao et al. 2019, section 3.2).

    That of the smallest class is `largest`. A class without examples counts as one example.
    """
    counts = jnp.maximum(counts.astype(jnp.float32), 1)
    return largest * (jnp.min(counts) / counts) ** 0.25


@functools.partial(jax.jit, inline=True)
def log_prior(counts: jax.Array) -> jax.Array:
    """Log prior of each class ``[c]``, for logit adjustment (Menon et al. 2021).

    It is added to the logits in training (eq. 10) or subtracted from them afterwards (eq. 9). A class without examples
    counts as half an example.
    """
    counts = jnp.maximum(counts.astype(jnp.float32), 0.5)
    return jnp.log(counts / jnp.sum(counts))


@functools.partial(jax.jit, static_argnames="shape", inline=True)
def smooth_by_class(counts: jax.Array, *, head: jax.Array, tail: jax.Array, shape: str = "concave") -> jax.Array:
    """Label smoothing of each class ``[c]``: `head` for the largest, `tail` for the smallest (MiSLAS, eqs. 5 to 7).

    With ``a = (n_y - n_min) / (n_max - n_min)``, it is ``t + (h - t) sin(pi a / 2)`` for ``concave``, which the authors
    use; ``t + (h - t) a`` for ``linear``; ``h + (h - t) sin(3 pi / 2 + pi a / 2)`` for ``convex``. If all classes have
    the same size, all are smoothed by `head`.

    Args:
      counts: n_y ``[c]``.
      head: h.
      tail: t.
      shape: one of `SHAPES`.
    """
    counts = counts.astype(jnp.float32)
    extent = jnp.max(counts) - jnp.min(counts)
    a = jnp.where(extent > 0, (counts - jnp.min(counts)) / jnp.where(extent > 0, extent, 1), 1)
    if shape == "concave":
        return tail + (head - tail) * jnp.sin(jnp.pi * a / 2)
    if shape == "linear":
        return tail + (head - tail) * a
    return head + (head - tail) * jnp.sin(3 * jnp.pi / 2 + jnp.pi * a / 2)


def spread_over_others(smoothing: jax.Array, num_classes: int) -> jax.Array:
    """Converts smoothing over the c - 1 other classes to equivalent smoothing over all c classes.

    The MiSLAS paper assigns ``eps / (c - 1)`` to each other class. Its code and `jaxgen.training.losses` assign
    ``eps / c`` to every class, including the label.
    """
    return smoothing * num_classes / (num_classes - 1)


def remix_share(
    share: jax.Array, own: jax.Array, partner: jax.Array, *, kappa: jax.Array | float = KAPPA, tau: float = TAU
) -> jax.Array:
    """Weight of an example's own label in a mixture, ``[b]``: rare classes get the whole label (Chou et al. 2020).

    It is 0 if n_i / n_j >= kappa and lambda < tau, 1 if n_j / n_i >= kappa and 1 - lambda < tau, and lambda otherwise.
    An infinite `kappa` always gives lambda.

    Args:
      share: lambda ``[b]``, the weight of the example itself.
      own, partner: n_i and n_j ``[b]``, the sizes of the classes of the example and of its partner, at least 1.
      kappa, tau: thresholds.
    """
    label_share = jnp.where((own / partner >= kappa) & (share < tau), 0.0, share)
    return jnp.where((partner / own >= kappa) & (1 - share < tau), 1.0, label_share)
