"""What a member is: carriers of arrays that the engine's modules share, and how a function is mapped over members.

`Recipe` holds what is fixed when a program is compiled; all else is an argument.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.learner import Learner, LearnerState, Weights, final_weights
from jaxgen.optim import Knobs


class Recipe(NamedTuple):
    """What all members of an ensemble share.

    Attributes:
      learner: the model and its optimizer.
      enrol: a pure function from a row (any pytree of scalars) to the member's key, its subset (bool ``[n]``) and its
        knobs.
      epochs: passes over a member's own examples, at most.
      batch_size: b.
      num_examples: n.
      num_classes: c.
      scale: a stored value times this is what the network sees.
      examined_at_once: examples that all members look at together when they are examined.
      validation_share: the part of a member's own examples that it is not trained on but stopped by.
      patience: epochs without a better validation loss after which a member stops; its best weights are kept. 0: none
        stops.
    """

    learner: Learner
    enrol: Callable[[Any], tuple[jax.Array, jax.Array, Knobs]]
    epochs: int
    batch_size: int
    num_examples: int
    num_classes: int
    scale: float
    examined_at_once: int = 500
    validation_share: float = 0.0
    patience: int = 0


class Member(NamedTuple):
    """One member: scalars and vectors here, a leading axis m when batched.

    Attributes:
      key: every random draw of its training.
      trained_on: bool ``[n]``: what it is trained on or, with a validation share, stopped by.
      own: int32 ``[n]``: the examples it trains on first, then those it is stopped by.
      size: int32: how many it trains on.
      num_validation: int32: how many it is stopped by.
      knobs: its learning rate and other strengths.
    """

    key: jax.Array
    trained_on: jax.Array
    own: jax.Array
    size: jax.Array
    num_validation: jax.Array
    knobs: Knobs


class Best(NamedTuple):
    """The best epoch so far: its weights, its validation loss, and how many epochs were finished then."""

    weights: Weights
    loss: jax.Array
    epoch: jax.Array


class Progress(NamedTuple):
    """A member in training.

    Attributes:
      state: the learner's.
      loss_sums: the sum of its step losses in each epoch, float32 ``[e]``.
      epoch: epochs finished.
      done: whether its training is over.
      best: None unless members may stop early.
    """

    state: LearnerState
    loss_sums: jax.Array
    epoch: jax.Array
    done: jax.Array
    best: Best | None


class Examples(NamedTuple):
    """The data on a device: stored values (uint8 where images), labels."""

    images: jax.Array
    labels: jax.Array


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


def as_inputs(recipe: Recipe, images: jax.Array) -> jax.Array:
    """Stored values as the network sees them: float32, scaled."""
    return images.astype(jnp.float32) * recipe.scale


def chosen_weights(progress: Progress) -> Weights:
    """What a member is examined with: its best epoch's weights where members may stop early, or else its last ones."""
    return final_weights(progress.state) if progress.best is None else progress.best.weights
