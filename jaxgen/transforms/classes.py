"""Classes of unequal size: their counts, weights, priors and smoothing. Axes: n examples, c classes.

Effective numbers: Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019
(https://arxiv.org/abs/1901.05555). Logit adjustment: A. K. Menon et al., Long-tail learning via logit adjustment, ICLR
2021 (https://arxiv.org/abs/2007.07314). Label-aware smoothing: Z. Zhong et al., Improving Calibration for Long-Tailed
Recognition, CVPR 2021 (https://arxiv.org/abs/2104.00466), called MiSLAS. Mixed labels: H.-P. Chou et al., Remix:
Rebalanced Mixup, ECCV 2020 Workshops (https://arxiv.org/abs/2007.03943).
"""

import jax
import jax.numpy as jnp

SHAPES = ("concave", "linear", "convex")
# Of Remix, as its authors took them: the ratio of class sizes, and the share, from which on a label is given whole.
KAPPA, TAU = 3.0, 0.5


def class_counts(labels: jax.Array, num_classes: int) -> jax.Array:
    """How many labels each class has: int32 ``[c]``."""
    return jnp.zeros(num_classes, jnp.int32).at[labels].add(1)


def rank_in_class(key: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """Each example's place in a random order of its class: int ``[n]`` from 0."""
    order = jnp.lexsort((jax.random.uniform(key, labels.shape), labels))
    counts = class_counts(labels, num_classes)
    first = jnp.cumsum(counts) - counts
    return jnp.zeros_like(order).at[order].set(jnp.arange(len(labels))) - first[labels]


def inverse_weights(counts: jax.Array) -> jax.Array:
    """Variables ``[c]`` by which every class has the same part in the loss, and examples the weight 1 on average.

    Of a class without examples 0.
    """
    counts = counts.astype(jnp.float32)
    present = jnp.sum(counts > 0)
    return jnp.where(counts > 0, jnp.sum(counts) / (present * jnp.maximum(counts, 1)), 0)


def effective_weights(counts: jax.Array, beta: float = 0.9999) -> jax.Array:
    """Variables ``[c]`` by the effective number of examples, ``(1 - beta) / (1 - beta^n)`` (Cui et al. 2019, eq. 2).

    They sum up to c. Near 1, `beta` gives inverse frequencies; 0 gives all classes the weight 1.
    """
    counts = jnp.maximum(counts.astype(jnp.float32), 1)
    # 1 - beta^n without the loss of all digits where n is small.
    weights = 1 / -jnp.expm1(counts * jnp.log(jnp.maximum(beta, 1e-30)))
    return weights * len(counts) / jnp.sum(weights)


def log_prior(counts: jax.Array) -> jax.Array:
    """Logarithms of the classes' shares ``[c]``, which logit adjustment adds to logits in training, or takes from them
    afterwards (Menon et al. 2021, eqs. 9 and 10); a class without examples counts as if it had half of one."""
    counts = jnp.maximum(counts.astype(jnp.float32), 0.5)
    return jnp.log(counts / jnp.sum(counts))


def smooth_by_class(counts: jax.Array, *, head: jax.Array, tail: jax.Array, shape: str = "concave") -> jax.Array:
    """Label smoothing of each class ``[c]``: `head` for the largest, `tail` for the smallest (MiSLAS, eqs. 5 to 7).

    ``a = (n_y - n_min) / (n_max - n_min)``. concave, which the authors use: ``t + (h - t) sin(pi a / 2)``; linear:
    ``t + (h - t) a``; convex: ``h + (h - t) sin(3 pi / 2 + pi a / 2)``. Classes of one size are all smoothed by `head`.

    Args:
      counts: n_y ``[c]``.
      head: h.
      tail: t.
      shape: of `SHAPES`.
    """
    counts = counts.astype(jnp.float32)
    reach = jnp.max(counts) - jnp.min(counts)
    a = jnp.where(reach > 0, (counts - jnp.min(counts)) / jnp.where(reach > 0, reach, 1), 1)
    if shape == "concave":
        return tail + (head - tail) * jnp.sin(jnp.pi * a / 2)
    if shape == "linear":
        return tail + (head - tail) * a
    return head + (head - tail) * jnp.sin(3 * jnp.pi / 2 + jnp.pi * a / 2)


def spread_over_others(smoothing: jax.Array, num_classes: int) -> jax.Array:
    """The smoothing over all c classes that is the same as this one over the c - 1 others.

    The MiSLAS paper gives ``eps / (c - 1)`` to each other class; its code, and `jaxgen.training.losses`, give
    ``eps / c`` to every class, the label's own included.
    """
    return smoothing * num_classes / (num_classes - 1)


def remix_share(
    share: jax.Array, own: jax.Array, partner: jax.Array, *, kappa: jax.Array | float = KAPPA, tau: float = TAU
) -> jax.Array:
    """How much of its own label a mixture keeps, ``[b]``: rare classes get the whole label (Chou et al. 2020).

    0 where the own class has `kappa` times the partner's examples or more and `share` is below `tau`; 1 where the
    partner's has as many times the own one's and ``1 - share`` is below `tau`; else `share`. An infinite `kappa` leaves
    all as it is.

    Args:
      share: how much of the example itself is left, lambda ``[b]``.
      own, partner: how many examples the classes of both have, n_i and n_j ``[b]``, at least 1.
      kappa, tau: bounds.
    """
    taken = jnp.where((own / partner >= kappa) & (share < tau), 0.0, share)
    return jnp.where((partner / own >= kappa) & (1 - share < tau), 1.0, taken)
