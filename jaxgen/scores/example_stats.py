"""Running per-example statistics of training dynamics: one row of sums an example, updated at each observation.

For an example that a run trains on, an observation is a visit: the logits that the training step computes, before its
update (Toneva et al. 2019, https://arxiv.org/abs/1812.05159; Pleiss et al. 2020, https://arxiv.org/abs/2001.10528). For
a held-out example, it is an evaluation between two epochs. Each observation updates:

* the cross-entropy of the label, and its probability p, of which mean and standard deviation are derived (Swayamdipta
  et al. 2020, "Dataset cartography", https://arxiv.org/abs/2009.10795);
* the margin: the logit of the label minus the largest other logit (Pleiss et al. 2020, equation 1);
* whether the label is the predicted class, and forgetting events: it was at the last observation, and no longer is
  (Toneva et al. 2019);
* at one early observation, EL2N: the Euclidean distance between the probabilities and the one-hot label (Paul et al.
  2021, https://arxiv.org/abs/2107.07075).

Axes: b examples, c classes, a columns of a row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.scores.metrics import margins
from jaxgen.training.losses import cross_entropy

# Columns of a row. Most are sums over observations. ERROR is taken at the early observation. FIRST is the number of the
# first observation at which the label was predicted, 0 for none. LAST is whether it was predicted at the last one. The
# points of the learning curve follow, and the gradient norm if it is tracked.
LOSS, MARGIN, CONFIDENCE, SQUARE, ERROR, RIGHT, FORGOTTEN, FIRST, LAST = range(9)
NUM_COLUMNS = 9
# A point of a curve: 128 if the label is predicted, plus its probability in steps of 1/31; finer steps compress badly.
RIGHT_BIT = 128
CURVE_STEPS = 31
# Steps per unit when stored in a byte: of a probability, a deviation (at most 1/2), a distance (at most sqrt 2).
PROBABILITY_STEPS, DEVIATION_STEPS, ERROR_STEPS = 255, 510, 180
# Just below the largest float16, 65504.
LARGEST = 60000.0


class TrackingConfig(NamedTuple):
    """What is tracked per example; epochs count from 1.

    Attributes:
      early: the epoch at which EL2N and gradient norms are taken; for held-out examples, the evaluation nearest to it.
      examined: epochs, ascending and before the last, after which held-out examples are evaluated. They are also
        evaluated at the end.
      curve: epochs, ascending and including the last, whose observations are kept as a learning curve.
      probabilities: whether the final probabilities of all classes are kept for held-out examples.
      gradients: whether per-example gradient norms are taken after the early epoch.
    """

    early: int
    examined: tuple[int, ...]
    curve: tuple[int, ...]
    probabilities: bool = False
    gradients: bool = False

    @property
    def num_columns(self) -> int:
        """The number of columns of a row, a."""
        return NUM_COLUMNS + len(self.curve) + self.gradients

    @property
    def early_examination(self) -> int:
        """The epoch of `examined` nearest to the early one; 0, which stands for the end, if there is none."""
        return min(self.examined, key=lambda epoch: abs(epoch - self.early), default=0)


def update_stats(
    track: TrackingConfig,
    rows: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    *,
    observation: jax.Array,
    epoch: jax.Array,
    early: jax.Array | bool,
) -> jax.Array:
    """Adds one observation to the rows of b examples.

    Args:
      track: what is tracked.
      rows: float32 ``[b, a]``.
      logits: ``[b, c]``.
      labels: int ``[b]``.
      observation: the number of the observation, a scalar from 1.
      epoch: the epoch of the observation in the learning curve, a scalar from 1.
      early: whether EL2N is taken from this observation, a scalar.

    Returns:
      The updated rows, ``[b, a]``.
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
        jnp.where((rows[:, FIRST] == 0) & (right > 0), observation.astype(jnp.float32), rows[:, FIRST]),
        right,
    ]
    point = RIGHT_BIT * right + jnp.round(CURVE_STEPS * confidence)
    points = slice(NUM_COLUMNS, NUM_COLUMNS + len(track.curve))
    curve = jnp.where((jnp.asarray(track.curve, jnp.int32) == epoch)[None], point[:, None], rows[:, points])
    return jnp.concatenate([jnp.stack(columns, axis=-1), curve, rows[:, points.stop :]], axis=-1)


def update_visit_stats(
    track: TrackingConfig,
    rows: jax.Array,
    chosen: jax.Array,
    counted: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    epoch: jax.Array,
) -> jax.Array:
    """Adds the visits of a training step to the rows of all examples.

    Args:
      track: what is tracked.
      rows: float32 ``[n, a]``.
      chosen: int ``[b]``: the examples of the batch, without repetition among those counted.
      counted: bool ``[b]``: False for padding of the batch.
      logits: ``[b, c]``, computed by the step.
      labels: int ``[b]``.
      epoch: a scalar from 1.

    Returns:
      The updated rows, ``[n, a]``.
    """
    visited = update_stats(
        track, rows[chosen], logits, labels, observation=epoch, epoch=epoch, early=epoch == track.early
    )
    return rows.at[jnp.where(counted, chosen, len(rows))].set(visited, mode="drop")


def in_half(values: jax.Array) -> jax.Array:
    """Values as float16, clipped to its range; NaN, of a diverged member, becomes 0."""
    return jnp.clip(jnp.nan_to_num(values), -LARGEST, LARGEST).astype(jnp.float16)


def in_steps(values: jax.Array, steps: int) -> jax.Array:
    """Nonnegative values quantized to uint8 in steps of 1/`steps`; NaN becomes 0."""
    return jnp.clip(jnp.round(jnp.nan_to_num(values) * steps), 0, 255).astype(jnp.uint8)
