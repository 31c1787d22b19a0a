"""Long-tailed subsets of balanced data: class sizes and selection. Axes: n examples, c classes.

Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (https://arxiv.org/abs/1901.05555)
for the exponential profile; M. Buda et al., A systematic study of the class imbalance problem, Neural Networks 2018
(https://arxiv.org/abs/1710.05381) for steps.
"""

import jax
import jax.numpy as jnp

from jaxgen.transforms.classes import rank_in_class

PROFILES = ("exp", "step")


def tail_counts(profile: str, imbalance: float, num_classes: int, largest: int) -> list[int]:
    """Number of examples to keep of each class, in descending order.

    With f = 1 / imbalance, class k has ``int(n_max f^(k / (c - 1)))`` examples for ``exp``. For ``step`` it is n_max
    for the first half of the classes and ``int(n_max f)`` for the others. With imbalance 100, n_max of 5,000 and 500
    gives the published sizes for CIFAR-10 and CIFAR-100.

    Args:
      profile: one of `PROFILES`.
      imbalance: size of the largest class over that of the smallest, at least 1.
      num_classes: c, at least 2.
      largest: n_max.
    """
    factor = 1 / imbalance
    if profile == "exp":
        return [int(largest * factor ** (k / (num_classes - 1))) for k in range(num_classes)]
    return [largest if k < num_classes // 2 else int(largest * factor) for k in range(num_classes)]


def choose_tail(key: jax.Array, labels: jax.Array, counts: jax.Array) -> jax.Array:
    """A uniform random selection of ``counts [c]`` examples of each class: bool ``[n]``.

    Args:
      key: of the draw. With the same key, the selection for smaller counts is a subset of that for larger ones.
      labels: ints ``[n]``.
      counts: ints ``[c]``, at most the sizes of the classes.
    """
    return rank_in_class(key, labels, len(counts)) < jnp.asarray(counts)[labels]
