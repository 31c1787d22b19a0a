"""One model and how it learns: pure functions without a member axis. `ensemble` maps them over members."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen.losses import cross_entropy, weighted_mean
from jaxgen.optim import Knobs

# One constant a purpose, folded into a member's key (contract 1); `scores.designs` holds those of the subsets.
INIT, ORDER, NOISE = 1, 2, 3


class Batch(NamedTuple):
    """b examples: ``inputs [b, ...]`` as the network sees them, ``labels [b]``, ``weights [b]`` (0 leaves one out)."""

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array


class LearnerState(NamedTuple):
    """What training changes."""

    params: Any
    opt_state: Any


class Learner(NamedTuple):
    """A model and its optimizer.

    Attributes:
      init: ``(key, knobs) -> state``.
      step: ``(key, knobs, state, batch) -> (state, loss)``: one gradient step, and the batch's mean loss before it.
      predict: ``(state, inputs [b, ...]) -> logits [b, c]``.
    """

    init: Callable[[jax.Array, Knobs], LearnerState]
    step: Callable[[jax.Array, Knobs, LearnerState, Batch], tuple[LearnerState, jax.Array]]
    predict: Callable[[LearnerState, jax.Array], jax.Array]


def make_learner(
    model: nn.Module,
    build_optimizer: Callable[[jax.Array, Knobs], optax.GradientTransformation],
    input_shape: tuple[int, ...],
) -> Learner:
    """A learner that minimizes the weighted mean cross-entropy.

    Args:
      model: maps ``[b, *input_shape]`` to logits.
      build_optimizer: from `jaxgen.optim.make_optimizer`.
      input_shape: the shape of one example.
    """

    def init(key: jax.Array, knobs: Knobs) -> LearnerState:
        params = model.init(jax.random.fold_in(key, INIT), jnp.zeros((1, *input_shape)))
        return LearnerState(params, build_optimizer(jax.random.fold_in(key, NOISE), knobs).init(params))

    def step(key: jax.Array, knobs: Knobs, state: LearnerState, batch: Batch) -> tuple[LearnerState, jax.Array]:
        def mean_loss(params: Any) -> jax.Array:
            return weighted_mean(cross_entropy(model.apply(params, batch.inputs), batch.labels), batch.weights)

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        optimizer = build_optimizer(jax.random.fold_in(key, NOISE), knobs)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        return LearnerState(optax.apply_updates(state.params, updates), opt_state), loss

    def predict(state: LearnerState, inputs: jax.Array) -> jax.Array:
        return model.apply(state.params, inputs)

    return Learner(init, step, predict)


def num_parameters(learner: Learner, knobs: Knobs) -> int:
    """Trainable numbers in the model; nothing is trained or allocated."""
    return sum(leaf.size for leaf in jax.tree.leaves(state_shapes(learner, knobs).params))


def state_bytes(learner: Learner, knobs: Knobs) -> int:
    """Bytes of one member's parameters and optimizer state."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_shapes(learner, knobs)))


def state_shapes(learner: Learner, knobs: Knobs) -> LearnerState:
    """The state's shapes, found without running anything; `knobs` may be shapes too."""
    return jax.eval_shape(lambda knobs: learner.init(jax.random.key(0), knobs), knobs)
