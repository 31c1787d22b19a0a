"""How training goes for single examples: one row of numbers an example, to which each look at it is added.

A look is a visit of a training step, whose own logits are taken, before the step (the visits of Toneva et al. 2019,
https://arxiv.org/abs/1812.05159, and of Pleiss et al. 2020, https://arxiv.org/abs/2001.10528); or, for an example that
is held out, an examination between two epochs. Of what both are is taken:

* the cross-entropy of its label, and the probability p of it (Swayamdipta et al. 2020, "Dataset cartography",
  https://arxiv.org/abs/2009.10795, of which mean and deviation are made);
* the margin: the label's logit less the largest other one (Pleiss et al. 2020, equation 1);
* whether the label is the most likely class, and whether it was and no longer is: a forgetting event (Toneva et al.);
* the Euclidean distance of the probabilities from the label's (EL2N, Paul et al. 2021,
  https://arxiv.org/abs/2107.07075) at one early look.

Axes: b examples, c classes, a columns of a row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.scores.metrics import margins
from jaxgen.training.losses import cross_entropy

# Columns of a row: sums over looks, but for ERROR, of the early look; FIRST, the number of the first look at which the
# label was predicted, 0 for none; LAST, whether it was at the last look. Then the points of the learning curve, and
# the norm of the gradient if that is tracked.
LOSS, MARGIN, CONFIDENCE, SQUARE, ERROR, RIGHT, FORGOTTEN, FIRST, LAST = range(9)
NUM_COLUMNS = 9
# A point of a curve: 128 if the label is predicted, plus its probability in steps of 1/31; finer ones pack badly.
RIGHT_BIT = 128
CURVE_STEPS = 31
# Steps of what is kept in a byte: of a probability, of a deviation (at most 1/2), of a distance (at most sqrt 2).
PROBABILITY_STEPS, DEVIATION_STEPS, ERROR_STEPS = 255, 510, 180
# Just below the largest number of 16 bits.
LARGEST = 60000.0


class TrackingConfig(NamedTuple):
    """What is tracked of single examples; epochs count from 1.

    Attributes:
      early: the epoch whose visit EL2N and gradients are taken from; of held-out examples, from the examination that is
        nearest to it.
      examined: after these epochs, ascending and before the last, held-out examples are examined, besides in the end.
      curve: epochs, ascending and with the last one, whose looks are kept one by one.
      probabilities: whether all classes' probabilities are kept of held-out examples, in the end.
      gradients: whether the norm of each example's own gradient is taken after the early epoch.
    """

    early: int
    examined: tuple[int, ...]
    curve: tuple[int, ...]
    probabilities: bool = False
    gradients: bool = False

    @property
    def num_columns(self) -> int:
        return NUM_COLUMNS + len(self.curve) + self.gradients

    @property
    def early_examination(self) -> int:
        """The epoch of `examined`, or 0 for the end, that is nearest to the early one."""
        return min(self.examined, key=lambda epoch: abs(epoch - self.early), default=0)


def note(
    track: TrackingConfig,
    rows: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    *,
    look: jax.Array,
    epoch: jax.Array,
    early: jax.Array | bool,
) -> jax.Array:
    """The rows of b examples with one more look.

    Args:
      track: what is tracked.
      rows: float32 ``[b, a]``.
      logits: ``[b, c]``.
      labels: int ``[b]``.
      look: which look it is, a scalar from 1.
      epoch: the epoch of the curve that it belongs to, a scalar from 1.
      early: whether it is the look that EL2N is taken from, a scalar.
    """
    losses = cross_entropy(logits, labels)
    confidence = jnp.exp(-losses)
    right = (jnp.argmax(logits, -1) == labels).astype(jnp.float32)
    distances = jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[-1])
    before = rows[:, LAST]
    columns = [
        rows[:, LOSS] + losses,
        rows[:, MARGIN] + margins(logits, labels),
        rows[:, CONFIDENCE] + confidence,
        rows[:, SQUARE] + confidence**2,
        jnp.where(early, jnp.sqrt(jnp.sum(distances**2, axis=-1)), rows[:, ERROR]),
        rows[:, RIGHT] + right,
        rows[:, FORGOTTEN] + before * (1 - right),
        jnp.where((rows[:, FIRST] == 0) & (right > 0), look.astype(jnp.float32), rows[:, FIRST]),
        right,
    ]
    point = RIGHT_BIT * right + jnp.round(CURVE_STEPS * confidence)
    places = slice(NUM_COLUMNS, NUM_COLUMNS + len(track.curve))
    curve = jnp.where((jnp.asarray(track.curve, jnp.int32) == epoch)[None], point[:, None], rows[:, places])
    return jnp.concatenate([jnp.stack(columns, axis=-1), curve, rows[:, places.stop :]], axis=-1)


def update_visit_stats(
    track: TrackingConfig,
    rows: jax.Array,
    chosen: jax.Array,
    counted: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    epoch: jax.Array,
) -> jax.Array:
    """The rows ``[n, a]`` of all examples after a training step.

    Args:
      track: what is tracked.
      rows: before it.
      chosen: int ``[b]``: the step's examples, none twice among those counted.
      counted: bool ``[b]``: false for what only fills up the batch.
      logits: ``[b, c]``: of the step.
      labels: int ``[b]``.
      epoch: scalar, from 1.
    """
    seen = note(track, rows[chosen], logits, labels, look=epoch, epoch=epoch, early=epoch == track.early)
    return rows.at[jnp.where(counted, chosen, len(rows))].set(seen, mode="drop")


def in_half(values: jax.Array) -> jax.Array:
    """In 16 bits, cut to what these hold; 0 where a member has diverged."""
    return jnp.clip(jnp.nan_to_num(values), -LARGEST, LARGEST).astype(jnp.float16)


def in_steps(values: jax.Array, steps: int) -> jax.Array:
    """Values from 0 up in a byte, in steps of 1/`steps`."""
    return jnp.clip(jnp.round(jnp.nan_to_num(values) * steps), 0, 255).astype(jnp.uint8)
