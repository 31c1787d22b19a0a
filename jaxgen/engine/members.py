"""What a member is: carriers of arrays that the engine's modules share, and how a function is mapped over members.

`EnsembleConfig` holds what is fixed when a program is compiled; all else is an argument.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import ClassTerms, Remix, Variables
from jaxgen.engine.class_order import ByClass
from jaxgen.engine.learner import Learner, LearnerState
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.training.optimizers import HParams


class EnsembleConfig(NamedTuple):
    """What all members of an ensemble share.

    Attributes:
      learner: the model and its optimizer.
      make_member: a pure function from a row (any pytree of scalars) and the training data to who the member is.
      epochs: passes over a member's own examples, at most.
      batch_size: b.
      num_examples: n, or u where members have examples of their own.
      num_classes: c.
      scale: a stored value times this is what the network sees.
      whiten: whether the network sees every image with mean 0 and deviation 1.
      eval_batch_size: examples that all members look at together when they are examined.
      validation_share: the part of a member's own examples that it is not trained on but stopped by.
      patience: epochs without a better validation loss after which a member stops; its best weights are kept. 0: none
        stops.
      epoch_metrics: what is measured of members epoch by epoch; None: nothing but their loss.
      keeps: uppermost groups of parameters that the outcome holds, with all batch statistics.
      show: what a member makes of training examples, always the same: ``(enrolment, chosen [b], inputs [b, ...]) ->
        inputs``; None: nothing.
      guided: whether members mix classes as their guides tell them (`jaxgen.engine.guided`).
      track: what is tracked of single examples; None: nothing.
    """

    learner: Learner
    make_member: Callable[[Any, "Examples"], "MemberConfig"]
    epochs: int
    batch_size: int
    num_examples: int
    num_classes: int
    scale: float
    whiten: bool = False
    eval_batch_size: int = 500
    validation_share: float = 0.0
    patience: int = 0
    epoch_metrics: "EpochMetrics | None" = None
    keeps: tuple[str, ...] = ()
    show: "Callable[[MemberConfig, jax.Array, jax.Array], jax.Array] | None" = None
    guided: bool = False
    track: TrackingConfig | None = None

    @property
    def may_stop(self) -> bool:
        """Whether a member may be done before its last epoch."""
        return bool(self.patience) or (self.epoch_metrics is not None and self.epoch_metrics.fit_at <= 1)


class EpochMetrics(NamedTuple):
    """What is measured of members beyond what they get right in the end.

    Attributes:
      fit_at: a member is done once it gets this share of the labels it is given right; above 1: none is.
      corrupted: versions of the test images on which members of version 0 are examined in the end.
    """

    fit_at: float
    corrupted: tuple[int, ...] = ()


class Mixed(NamedTuple):
    """In a training step each example is seen in another version with probability `share`: two scalars."""

    version: jax.Array
    share: jax.Array


class Balance(NamedTuple):
    """How a member makes up for classes of unequal size, by the labels that it is given.

    Attributes:
      groups: its examples by class.
      aware: bool: whether it sees classes alike often in place of every example once an epoch.
      terms: what classes change of its loss.
    """

    groups: ByClass
    aware: jax.Array
    terms: ClassTerms


class Guide(NamedTuple):
    """Held-out examples by which a member decides what it trains on: ``inputs [s, f]`` and ``labels [s]``."""

    inputs: jax.Array
    labels: jax.Array


class MemberConfig(NamedTuple):
    """Who a member is; n is u where it has examples of its own.

    Attributes:
      key: every random draw of its training.
      trained_on: bool ``[n]``: what it is trained on or, with a validation share, stopped by.
      hparams: its learning rate and other strengths.
      labels: int32 ``[n]``: those it is trained with; None: the true ones.
      version: int32: the version of the images that it sees; None: there is but one.
      mixed: what it sees besides while it is trained, but not when it is examined; None: nothing.
      rows: int32 ``[u]``: which of the data's examples its own are, in any order and number; None: they are those n.
      balance: how it makes up for classes of unequal size; None: not at all.
      params: the parameters that it begins with; None: those that its key draws.
      stats: the same of running batch statistics.
      remix: how labels of mixtures are mixed; None: as inputs are.
      guide: by what it decides what it trains on; None: it does not.
    """

    key: jax.Array
    trained_on: jax.Array
    hparams: HParams
    labels: jax.Array | None = None
    version: jax.Array | None = None
    mixed: Mixed | None = None
    rows: jax.Array | None = None
    balance: Balance | None = None
    params: Any = None
    stats: Any = None
    remix: Remix | None = None
    guide: Guide | None = None


class Member(NamedTuple):
    """One member: scalars and vectors here, a leading axis m when batched.

    Attributes:
      config: what it trains on, and how.
      own: int32 ``[n]``: the examples it trains on first, then those it is stopped by.
      size: int32: how many it trains on.
      num_validation: int32: how many it is stopped by.
    """

    config: MemberConfig
    own: jax.Array
    size: jax.Array
    num_validation: jax.Array


class Best(NamedTuple):
    """The best epoch so far: its weights, its validation loss, and how many epochs were finished then."""

    weights: Variables
    loss: jax.Array
    epoch: jax.Array


class Curves(NamedTuple):
    """How a member does at the end of each epoch, float32 ``[e]``, NaN where it had no such epoch or no such examples.

    Attributes:
      train_loss: mean cross-entropy on the labels that the member is given, in nats.
      train_accuracy: share of those that it gets right.
      true_accuracy: share of the true labels of its training examples that it gets right.
      clean_accuracy, flipped_accuracy: `train_accuracy` where the label given is the true one, and where it is not.
      test_loss, test_accuracy: on the test examples.
    """

    train_loss: jax.Array
    train_accuracy: jax.Array
    true_accuracy: jax.Array
    clean_accuracy: jax.Array
    flipped_accuracy: jax.Array
    test_loss: jax.Array
    test_accuracy: jax.Array


class TrainState(NamedTuple):
    """A member in training.

    Attributes:
      learner: its weights and its optimizer's state.
      loss_sums: the sum of its step losses in each epoch, float32 ``[e]``.
      epoch: epochs finished.
      done: whether its training is over.
      best: None unless members stop by validation.
      curves: None unless members are watched.
      pairs: None unless members are guided: logits ``[c, c]`` of the pairs of classes that are mixed.
      records: float32 ``[n, a]``, of `jaxgen.scores.example_stats`; None unless examples are tracked.
    """

    learner: LearnerState
    loss_sums: jax.Array
    epoch: jax.Array
    done: jax.Array
    best: Best | None
    curves: Curves | None
    pairs: jax.Array | None = None
    records: jax.Array | None = None


class Examples(NamedTuple):
    """n examples on a device: stored values (uint8 where images) ``[v*n, ...]``, v versions one after the other, and
    true labels ``[n]``."""

    images: jax.Array
    labels: jax.Array


class Data(NamedTuple):
    """All data on a device; without a test set `test` is None, without probes (`jaxgen.types.Dataset`) `probe`."""

    train: Examples
    test: Examples | None
    probe: Examples | None = None


class Block(NamedTuple):
    """A piece of training: `num_epochs` epochs, in each the steps ``[first_step, last_step)``; with `ends_epoch` an
    epoch is over after its last step."""

    num_epochs: int
    first_step: int
    last_step: int
    ends_epoch: int


def map_members(function: Callable, in_axes: Any = 0) -> Callable:
    """`vmap` over members; for a lone one the function itself, whose products and convolutions are not batched ones."""

    def mapped(*arguments: Any) -> Any:
        axes = (in_axes,) * len(arguments) if isinstance(in_axes, int) else in_axes
        pairs = list(zip(arguments, axes, strict=True))
        if len(jax.tree.leaves([x for x, axis in pairs if axis == 0])[0]) > 1:
            return jax.vmap(function, in_axes)(*arguments)
        lone = (x if axis is None else jax.tree.map(lambda leaf: leaf[0], x) for x, axis in pairs)
        return jax.tree.map(lambda leaf: leaf[None], function(*lone))

    return mapped


def keep_where(condition: jax.Array, new: Any, old: Any) -> Any:
    """`new` if `condition`, a scalar, holds, and else `old`."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)
