"""Which examples a member of an oversampling job has: a sample of the data, a part of it for development, copies.

A member's own examples stand in blocks of as many places as the job's largest sample has examples: place p is example
``p mod largest`` of the sample, as it is in the first block, and in block c its copy number c. Examples of a sample
come in the order of the run's own permutation of the data, so smaller samples are parts of larger ones. Places beyond
a member's sample or copies are absent: the member neither learns from them nor is judged by them.

Split before copying, the last examples of a sample are for development, and the first of the others are copied. Split
after it, the leaky way, examples and copies are shuffled together, and any of them may be for development.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.order import permute
from jaxgen.keys import Draw, draw_key


class Sample(NamedTuple):
    """How many of what a member has: ints, or int32 ``[m]``.

    Attributes:
      size: unique examples.
      num_dev: examples, or with a leaky split examples and copies, for development.
      copied: examples that are copied.
      num_copies: copies of each of them.
      leaky: 1 if the development part was taken out after copying.
    """

    size: int
    num_dev: int
    copied: int
    num_copies: int
    leaky: int

    @property
    def num_train(self) -> int:
        """Examples and copies to train on."""
        return self.size + self.copied * self.num_copies - self.num_dev


class Places(NamedTuple):
    """The places of a member's own examples: of each, int32 ``[u]``, the number of its copy and of its example."""

    copy: np.ndarray
    example: np.ndarray


def make_sample(size: int, *, dev_share: float, copied_share: float, num_copies: int, leaky: bool) -> Sample:
    """The sample of `size` examples.

    Shares are rounded, but something of a share above 0 there always is.

    Args:
      size: unique examples.
      dev_share: of the sample, or with a leaky split of examples and copies, what is for development.
      copied_share: of the examples that may be copied, what is; all may, but for those split off before.
      num_copies: of each.
      leaky: whether the development part is taken out after copying.
    """
    num_dev = 0 if leaky else share_of(size, dev_share)
    copied = share_of(size - num_dev, copied_share) if num_copies else 0
    if leaky:
        num_dev = share_of(size + copied * num_copies, dev_share)
    return Sample(size, num_dev, copied, num_copies, int(leaky))


def share_of(count: int, share: float) -> int:
    """The share of a count, rounded; 1 at the least unless it is 0."""
    return max(1, round(count * share)) if share else 0


def make_places(largest: int, most_copies: int) -> Places:
    """All places of samples of at most `largest` examples with at most `most_copies` copies of each."""
    copy, example = np.divmod(np.arange(largest * (1 + most_copies), dtype=np.int32), np.int32(largest))
    return Places(copy, example)


def is_present(sample: Sample, places: Places) -> Any:
    """Which places a member has: bool ``[u]``, on the host or traced."""
    copies = (places.copy > 0) & (places.copy <= sample.num_copies) & (places.example < sample.copied)
    return ((places.copy == 0) & (places.example < sample.size)) | copies


def choose_trained(key: jax.Array, sample: Sample, places: Places, *, may_leak: bool) -> jax.Array:
    """Which places a member is trained on: bool ``[u]``.

    Args:
      key: the member's.
      sample: its own.
      places: all of them.
      may_leak: whether any member of the program has a leaky split.
    """
    present = is_present(sample, places)
    trained_on = present & ((places.copy > 0) | (places.example < sample.size - sample.num_dev))
    if not may_leak:
        return trained_on
    # Examples first, then first copies, then second ones.
    rank = jnp.where(places.copy == 0, 0, sample.size + (places.copy - 1) * sample.copied) + places.example
    total = sample.size + sample.copied * sample.num_copies
    shuffled = permute(draw_key(key, Draw.SPLIT), rank, jnp.asarray(total, jnp.int32))
    return jnp.where(sample.leaky > 0, present & (shuffled >= sample.num_dev), trained_on)


def draw_rows(key: jax.Array, num_examples: int, places: Places) -> jax.Array:
    """Which of the data's examples stand in a member's places: int32 ``[u]``, the first of a permutation of them."""
    order = permute(draw_key(key, Draw.SAMPLE), jnp.arange(places.example.max() + 1), jnp.int32(num_examples))
    return order[places.example]


def copy_key(key: jax.Array, copy: jax.Array, example: jax.Array) -> jax.Array:
    """The key of a copy's noise, which does not depend on the size of the sample or on what else the job trains."""
    return jax.random.fold_in(jax.random.fold_in(draw_key(key, Draw.COPIES), copy), example)
