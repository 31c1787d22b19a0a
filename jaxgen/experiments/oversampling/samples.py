"""The examples of a member of an oversampling job: a sample of the data, its development part, and copies.

A member's training set is an array of slots in blocks of length `largest`, the job's largest sample size. Slot p holds
example ``p mod largest`` of the sample: the example itself in block 0, its copy number c in block c. Samples follow the
run's own permutation of the data, so smaller samples are subsets of larger ones. Slots beyond a member's sample or
copies are absent: they are neither trained on nor evaluated.

With a split before copying, the last examples of a sample form the development set and the first of the rest are
copied. With a leaky split, after copying, examples and copies are shuffled together before the split.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.order import permute
from jaxgen.keys import Draw, draw_key


class Sample(NamedTuple):
    """Numbers of examples and copies of a member: ints, or int32 ``[m]``.

    Attributes:
      size: number of unique examples.
      num_dev: size of the development set; with a leaky split, copies included.
      copied: number of examples that are copied.
      num_copies: number of copies of each copied example.
      leaky: 1 if the development set is split off after copying.
    """

    size: int
    num_dev: int
    copied: int
    num_copies: int
    leaky: int

    @property
    def num_train(self) -> int:
        """Number of training examples, copies included."""
        return self.size + self.copied * self.num_copies - self.num_dev


class SampleLayout(NamedTuple):
    """Layout of a member's slots: copy number (0: the example itself) and example of each, int32 ``[u]``."""

    copy: np.ndarray
    example: np.ndarray


def make_sample(size: int, *, dev_share: float, copied_share: float, num_copies: int, leaky: bool) -> Sample:
    """Makes the sample of `size` unique examples.

    Shares are rounded, to at least one example if the share is above 0.

    Args:
      size: number of unique examples.
      dev_share: share of the sample for development; with a leaky split, of examples and copies.
      copied_share: share of the examples that are copied; examples split off before copying are excluded.
      num_copies: number of copies of each copied example.
      leaky: whether the development set is split off after copying.
    """
    num_dev = 0 if leaky else share_of(size, dev_share)
    copied = share_of(size - num_dev, copied_share) if num_copies else 0
    if leaky:
        num_dev = share_of(size + copied * num_copies, dev_share)
    return Sample(size, num_dev, copied, num_copies, int(leaky))


def share_of(count: int, share: float) -> int:
    """The share of a count, rounded; at least 1 if the share is above 0."""
    return max(1, round(count * share)) if share else 0


def make_layout(largest: int, most_copies: int) -> SampleLayout:
    """The layout for samples of at most `largest` examples with at most `most_copies` copies of each."""
    copy, example = np.divmod(np.arange(largest * (1 + most_copies), dtype=np.int32), np.int32(largest))
    return SampleLayout(copy, example)


def is_present(sample: Sample, layout: SampleLayout) -> Any:
    """Mask of the slots that a member has: bool ``[u]``, on the host or traced."""
    copies = (layout.copy > 0) & (layout.copy <= sample.num_copies) & (layout.example < sample.copied)
    return ((layout.copy == 0) & (layout.example < sample.size)) | copies


def train_mask(key: jax.Array, sample: Sample, layout: SampleLayout, *, may_leak: bool) -> jax.Array:
    """Mask of the slots that a member is trained on: bool ``[u]``.

    Args:
      key: the member's key.
      sample: the member's sample.
      layout: the layout of slots.
      may_leak: whether any member of the program has a leaky split.
    """
    present = is_present(sample, layout)
    trained_on = present & ((layout.copy > 0) | (layout.example < sample.size - sample.num_dev))
    if not may_leak:
        return trained_on
    # Order: examples, first copies, second copies, ...
    rank = jnp.where(layout.copy == 0, 0, sample.size + (layout.copy - 1) * sample.copied) + layout.example
    total = sample.size + sample.copied * sample.num_copies
    shuffled = permute(draw_key(key, Draw.SPLIT), rank, jnp.asarray(total, jnp.int32))
    return jnp.where(sample.leaky > 0, present & (shuffled >= sample.num_dev), trained_on)


def draw_rows(key: jax.Array, num_examples: int, layout: SampleLayout) -> jax.Array:
    """Draws the dataset rows in a member's slots, int32 ``[u]``, the head of a random permutation of the dataset."""
    order = permute(draw_key(key, Draw.SAMPLE), jnp.arange(layout.example.max() + 1), jnp.int32(num_examples))
    return order[layout.example]


def copy_key(key: jax.Array, copy: jax.Array, example: jax.Array) -> jax.Array:
    """The key of a copy's noise, independent of the sample size and of the rest of the job."""
    return jax.random.fold_in(jax.random.fold_in(draw_key(key, Draw.COPIES), copy), example)
