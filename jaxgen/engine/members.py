"""Data types shared by the engine's modules, and mapping of functions over members.

`EnsembleConfig` is fixed when a program is compiled, and holds the three hooks by which an experiment changes training:
a `Sampler`, an input transform and `EpochMetrics`. All else is an argument. Axes: m members, n training examples, b
batch, e epochs.
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
      sampler: how members draw batches.
      make_member: a pure function from a row (any pytree of scalars) and the training data to a `MemberConfig`.
      epochs: passes over a member's training examples, at most.
      batch_size: b.
      num_examples: n: training examples of the data, or of each member where it has `MemberConfig.rows`.
      num_classes: c.
      scale: inputs of the network are stored values times this.
      normalize: inputs ``[b, ...]`` to inputs, after all else that changes them; None: the identity.
      eval_batch_size: examples in a batch of an evaluation.
      validation_share: the part of a member's training examples that is held out for early stopping, in [0, 1).
      patience: epochs without a better validation loss after which a member stops; its best variables are kept. 0:
        no early stopping.
      epoch_metrics: what is measured after each epoch and at the end; None: only the loss of training steps.
      keeps: top-level groups of parameters that the outcome holds, with all batch statistics.
      input_transform: ``(member_config, chosen [b], inputs [b, ...]) -> inputs``, applied to training examples whenever
        they are seen, in training and evaluation, before augmentation; None: the identity.
      track: which statistics of single examples are kept; None: none.
      bounded_loss: whether the loss cannot grow without bound, so that no loss means that training has diverged.
    """

    learner: Learner
    sampler: "Sampler"
    make_member: Callable[[Any, "Examples"], "MemberConfig"]
    epochs: int
    batch_size: int
    num_examples: int
    num_classes: int
    scale: float
    normalize: Callable[[jax.Array], jax.Array] | None = None
    eval_batch_size: int = 500
    validation_share: float = 0.0
    patience: int = 0
    epoch_metrics: "EpochMetrics | None" = None
    keeps: tuple[str, ...] = ()
    input_transform: "Callable[[MemberConfig, jax.Array, jax.Array], jax.Array] | None" = None
    track: TrackingConfig | None = None
    bounded_loss: bool = False

    @property
    def may_stop(self) -> bool:
        """Whether a member may be done before its last epoch."""
        return bool(self.patience) or (self.epoch_metrics is not None and self.epoch_metrics.fit_at <= 1)


class EpochMetrics(NamedTuple):
    """Measures besides correct predictions: a point of all `Curves` after each epoch, and measures at the end.

    Attributes:
      fit_at: training accuracy, on the labels trained with, at which a member is done; above 1: never.
      after_epoch: ``(config, members, variables, data) -> {name: float32 [m]}``: a point of further curves, for `Data`;
        None: only those of `Curves`.
      at_end: ``(config, members, variables, test) -> {name: [m, ...]}``: more measures of trained members on a test
        set; None: only those of `jaxgen.engine.curves.measure_end`.
    """

    fit_at: float
    after_epoch: "Callable[[EnsembleConfig, Member, Variables, Data], dict[str, jax.Array]] | None" = None
    at_end: "Callable[[EnsembleConfig, Member, Variables, Examples], dict[str, jax.Array]] | None" = None


class Sampler(NamedTuple):
    """How members draw batches: pure functions; `jaxgen.engine.sampling.SHUFFLED` is that of plain training.

    Attributes:
      order: ``(key, member, count) -> int32 [count]``: which of its examples a member sees in an epoch, one batch after
        the other. Those from the member's size on are not used.
      batch: ``(config, member_config, state, train, chosen [b], weights [b], step) -> Batch``: the batch of a training
        step, usually of the `chosen` examples of the order. `step` counts from 0 over all epochs; a weight of 0
        leaves an example out.
      init: ``(config, member_config, variables) -> state``: the initial state of a sampler, any pytree of arrays;
        None: it has no state.
      update: ``(config, members, train_state, step) -> state``: the states of all members before step `step` of their
        epochs; None: they never change.
    """

    order: "Callable[[jax.Array, Member, int], jax.Array]"
    batch: "Callable[..., Batch]"
    init: "Callable[[EnsembleConfig, MemberConfig, Variables], Any] | None" = None
    update: "Callable[[EnsembleConfig, Member, TrainState, jax.Array], Any] | None" = None


class MemberConfig(NamedTuple):
    """What one member trains on, and how.

    Attributes:
      key: root of all random draws of its training.
      trained_on: bool ``[n]``: its training examples, those held out for validation included.
      hparams: its learning rate and other hyperparameters.
      labels: int32 ``[n]``: training labels; None: the true ones.
      version: int32: the version of the images that it is trained and evaluated on; None: there is only one.
      rows: int32 ``[n]``: its n training examples as rows of the data, in any order and number; None: the data's own.
      variables: initial parameters and batch statistics; None in place of either: drawn from the key.
      extra: what the experiment's hooks need of a member: any pytree of arrays, which the engine does not read.
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
      example_order: int32 ``[n]``: first the examples that it trains on, then its validation examples, then all others.
      size: int32: number of examples that it trains on.
      num_validation: int32: number of validation examples.
    """

    config: MemberConfig
    example_order: jax.Array
    size: jax.Array
    num_validation: jax.Array


class Best(NamedTuple):
    """The best epoch so far: variables and validation loss after it, and its number from 1."""

    variables: Variables
    loss: jax.Array
    epoch: jax.Array


class Curves(NamedTuple):
    """Measures after each epoch, float32 ``[e]``; NaN after an early stop, and where there are no such examples.

    Attributes:
      train_loss: mean cross-entropy on training labels, in nats.
      train_accuracy: on training labels.
      true_accuracy: on the true labels of training examples.
      clean_accuracy, flipped_accuracy: `train_accuracy` where the training label is the true one, and where it is not.
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
      learner: its variables and the state of its optimizer.
      loss_sums: the sum of its step losses in each epoch, float32 ``[e]``.
      epoch: epochs finished.
      done: whether its training is over.
      best: None without early stopping.
      curves: by name, float32 ``[e]``: the fields of `Curves`, and what `EpochMetrics.after_epoch` measures; None
        without `EpochMetrics`.
      sampler: the state of its sampler; None if that has no `init`.
      records: float32 ``[n, a]``, statistics of single examples; None unless they are tracked.
    """

    learner: LearnerState
    loss_sums: jax.Array
    epoch: jax.Array
    done: jax.Array
    best: Best | None
    curves: dict[str, jax.Array] | None
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
    """A block of training: `num_epochs` epochs, in each the steps ``[first_step, last_step)``; with `ends_epoch` an
    epoch is over after its last step."""

    num_epochs: int
    first_step: int
    last_step: int
    ends_epoch: int


def map_members(function: Callable, in_axes: Any = 0) -> Callable:
    """`vmap` over members; for a single one the function itself, so that products and convolutions are not batched."""

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
