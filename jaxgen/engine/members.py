"""What a member is: carriers of arrays that the engine's modules share, and how a function is mapped over members.

`EnsembleConfig` holds what is fixed when a program is compiled; all else is an argument.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch, Variables
from jaxgen.engine.learner import Learner, LearnerState
from jaxgen.scores.example_stats import TrackingConfig
from jaxgen.training.optimizers import HParams


class EnsembleConfig(NamedTuple):
    """What all members of an ensemble share.

    Attributes:
      learner: the model and its optimizer.
      sampler: how batches are drawn.
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
      input_transform: what a member makes of its training examples, in training and evaluation alike: a function
        ``(member_config, chosen [b], inputs [b, ...]) -> inputs``; None: nothing.
      track: what is tracked of single examples; None: nothing.
    """

    learner: Learner
    sampler: "Sampler"
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
    input_transform: "Callable[[MemberConfig, jax.Array, jax.Array], jax.Array] | None" = None
    track: TrackingConfig | None = None

    @property
    def may_stop(self) -> bool:
        """Whether a member may be done before its last epoch."""
        return bool(self.patience) or (self.epoch_metrics is not None and self.epoch_metrics.fit_at <= 1)


class EpochMetrics(NamedTuple):
    """What is measured of members beyond what they get right in the end.

    Attributes:
      fit_at: a member is done once it gets this share of the labels it is given right; above 1: none is.
      at_end: more measures of the trained members on a test set, by name: a function
        ``(config, members, variables, test) -> {name: [m, ...]}``; None: no more.
    """

    fit_at: float
    at_end: "Callable[[EnsembleConfig, Member, Variables, Examples], dict[str, jax.Array]] | None" = None


class Sampler(NamedTuple):
    """How members draw batches: pure functions; `jaxgen.engine.sampling.SHUFFLED` is that of plain training.

    Attributes:
      order: ``(key, member, count) -> int32 [count]``: which of its examples a member sees in an epoch, one batch after
        the other. Those from the member's size on are left out.
      batch: ``(config, member_config, state, train, chosen [b], weights [b], step) -> Batch``: a training step on the
        `chosen` examples of the order, `step` steps after the first; a weight of 0 leaves an example out.
      init: ``(config, member_config, variables) -> state``: what a member's sampler remembers, any pytree of arrays;
        None: nothing, the state is None.
      update: ``(config, members, train_state, step) -> state``: the states of all members, before step `step` of their
        epochs; None: they never change.
    """

    order: "Callable[[jax.Array, Member, int], jax.Array]"
    batch: "Callable[..., Batch]"
    init: "Callable[[EnsembleConfig, MemberConfig, Variables], Any] | None" = None
    update: "Callable[[EnsembleConfig, Member, TrainState, jax.Array], Any] | None" = None


class MemberConfig(NamedTuple):
    """Who a member is; n is u where it has examples of its own.

    Attributes:
      key: every random draw of its training.
      trained_on: bool ``[n]``: what it is trained on or, with a validation share, stopped by.
      hparams: its learning rate and other strengths.
      labels: int32 ``[n]``: those it is trained with; None: the true ones.
      version: int32: the version of the images that it sees; None: there is but one.
      rows: int32 ``[u]``: which of the data's examples its own are, in any order and number; None: they are those n.
      variables: what it begins with; None: what its key draws. Of both parts None: that part is drawn.
      extra: what the experiment's hooks read of a member, any pytree of arrays; the engine does not look into it.
    """

    key: jax.Array
    trained_on: jax.Array
    hparams: HParams
    labels: jax.Array | None = None
    version: jax.Array | None = None
    rows: jax.Array | None = None
    variables: Variables = Variables(None, None)
    extra: Any = None


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
      sampler: what its sampler remembers; None unless that has an `init`.
      records: float32 ``[n, a]``, of `jaxgen.scores.example_stats`; None unless examples are tracked.
    """

    learner: LearnerState
    loss_sums: jax.Array
    epoch: jax.Array
    done: jax.Array
    best: Best | None
    curves: Curves | None
    sampler: Any = None
    records: jax.Array | None = None


class Examples(NamedTuple):
    """n examples on a device: stored values (uint8 where images) ``[v*n, ...]``, v versions one after the other, and
    true labels ``[n]``."""

    images: jax.Array
    labels: jax.Array


class Data(NamedTuple):
    """All data on a device: `test` is None without a test set, `eval_sets` without probes (`jaxgen.types.Dataset`)."""

    train: Examples
    test: Examples | None
    eval_sets: Examples | None = None


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
