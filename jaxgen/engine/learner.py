"""A model and its optimizer as pure functions without a member axis. `ensemble` maps them over members."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen.engine.batch import Batch, LearnerConfig, StepIndex, Variables, as_collections
from jaxgen.engine.gradient import mean_gradient, prepare
from jaxgen.keys import Draw, draw_key
from jaxgen.models.layers import EVAL
from jaxgen.training.optimizers import HParams, ascend, average, limit_norms


class LearnerState(NamedTuple):
    """Variables and optimizer state; `averaged` is None without an exponential moving average of the variables."""

    variables: Variables
    opt_state: Any
    averaged: Variables | None


class Learner(NamedTuple):
    """A model and its optimizer.

    Attributes:
      init: ``(key, hparams, params, stats) -> state``, with these parameters and batch statistics, or with drawn ones
        where they are None.
      step: ``(key, hparams, state, batch, step_index) -> (state, loss, logits)``: one gradient step, and the batch's
        mean loss and logits ``[b, c]`` before it; logits are None unless `LearnerConfig.returns_logits`.
      predict: ``(variables, inputs [b, ...]) -> logits [b, c]``, in evaluation mode.
    """

    init: Callable[..., LearnerState]
    step: Callable[
        [jax.Array, HParams, LearnerState, Batch, StepIndex], tuple[LearnerState, jax.Array, jax.Array | None]
    ]
    predict: Callable[[Variables, jax.Array], jax.Array]


def make_learner(model: nn.Module, learner_config: LearnerConfig, input_shape: tuple[int, ...]) -> Learner:
    """A learner that minimizes the weighted mean cross-entropy.

    Args:
      model: maps ``[b, *input_shape]`` and a `Mode` to logits.
      learner_config: optimizer, augmentation and all else of a step.
      input_shape: the shape of one example.
    """

    def init(key: jax.Array, hparams: HParams, params: Any = None, stats: Any = None) -> LearnerState:
        drawn = model.init(draw_key(key, Draw.INIT), jnp.zeros((1, *input_shape)))
        stats = drawn.get("batch_stats", {}) if stats is None else stats
        variables = Variables(drawn["params"] if params is None else params, stats)
        opt_state = learner_config.optimize(draw_key(key, Draw.NOISE), hparams).init(variables.params)
        return LearnerState(variables, opt_state, variables if "ema_decay" in learner_config.in_use else None)

    def step(
        key: jax.Array, hparams: HParams, state: LearnerState, batch: Batch, step_index: StepIndex
    ) -> tuple[LearnerState, jax.Array, jax.Array | None]:
        with jax.default_matmul_precision(learner_config.precision):
            terms = batch.terms
            inputs, targets = prepare(learner_config, key, hparams, batch, step_index)
            params, stats = state.variables
            differentiate = functools.partial(mean_gradient, model, learner_config, hparams, terms=terms)
            loss, grads, new_stats, logits = differentiate(params, stats, inputs, targets)
            if "sam_radius" in learner_config.in_use:
                ascended = ascend(params, grads, hparams["sam_radius"])
                _, grads, _, _ = differentiate(ascended, stats, inputs, targets)
            optimizer = learner_config.optimize(draw_key(key, Draw.NOISE), hparams)
            when = {"progress": step_index.progress, "length": step_index.length}
            updates, opt_state = optimizer.update(grads, state.opt_state, params, **when)
            if learner_config.groups:
                rates = {group: hparams[f"{group}_rate"] for group in learner_config.groups}
                updates = {group: optax.tree.scale(rate, updates[group]) for group, rate in rates.items()}
            params = optax.apply_updates(params, updates)
        if "max_norm" in learner_config.in_use:
            params = limit_norms(params, hparams["max_norm"])
        variables, averaged = Variables(params, new_stats), state.averaged
        if averaged is not None:
            averaged = average(averaged, variables, hparams["ema_decay"], step_index.count)
        return LearnerState(variables, opt_state, averaged), loss, logits

    def predict(variables: Variables, inputs: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(learner_config.precision):
            return model.apply(as_collections(variables), inputs, EVAL)

    return Learner(init, step, predict)


def final_variables(state: LearnerState) -> Variables:
    """The variables to predict with: the moving average where there is one."""
    return state.variables if state.averaged is None else state.averaged


def num_parameters(learner: Learner, hparams: HParams) -> int:
    """The number of parameters of the model; nothing is computed or allocated."""
    return sum(leaf.size for leaf in jax.tree.leaves(state_shapes(learner, hparams).variables.params))


def state_bytes(learner: Learner, hparams: HParams) -> int:
    """Bytes of one member's parameters and optimizer state."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_shapes(learner, hparams)))


def state_shapes(learner: Learner, hparams: HParams) -> LearnerState:
    """The state as shapes; nothing is computed. `hparams` may be shapes too."""
    return jax.eval_shape(lambda hparams: learner.init(jax.random.key(0), hparams), hparams)
