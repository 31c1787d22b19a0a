"""Long-tailed data: how many examples of each class are left, and which. Axes: n examples, c classes.

Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (https://arxiv.org/abs/1901.05555)
for the exponential profile; M. Buda et al., A systematic study of the class imbalance problem, Neural Networks 2018
(https://arxiv.org/abs/1710.05381) for steps.
"""

import jax
import jax.numpy as jnp

from jaxgen.transforms.classes import rank_in_class

PROFILES = ("exp", "step")


def tail_counts(profile: str, imbalance: float, num_classes: int, largest: int) -> list[int]:
    """How many examples each class keeps, the first class the most.

    ``exp``: ``int(n_max f^(k / (c - 1)))``; ``step``: n_max for the first half of the classes, ``int(n_max f)`` for the
    others; f is 1 / imbalance. The counts published for CIFAR-10 and CIFAR-100 at 100 are those of 5,000 and 500.

    Args:
      profile: of `PROFILES`.
      imbalance: the largest class over the smallest, at least 1.
      num_classes: c, at least 2.
      largest: n_max.
    """
    factor = 1 / imbalance
    if profile == "exp":
        return [int(largest * factor ** (k / (num_classes - 1))) for k in range(num_classes)]
    return [largest if k < num_classes // 2 else int(largest * factor) for k in range(num_classes)]


def choose_tail(key: jax.Array, labels: jax.Array, counts: jax.Array) -> jax.Array:
    """Which examples are kept: bool ``[n]``, of each class as many as `counts` says, drawn uniformly.

    Args:
      key: of the draw; by one key, the examples kept at smaller counts are among those kept at larger ones.
      labels: ints ``[n]``.
      counts: ints ``[c]``, none more than the class has.
    """
    return rank_in_class(key, labels, len(counts)) < jnp.asarray(counts)[labels]
