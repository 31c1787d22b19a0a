"""One model and how it learns: pure functions without a member axis. `ensemble` maps them over members."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen.engine.batch import INIT, NOISE, Batch, LearnerConfig, StepIndex, Variables, as_variables
from jaxgen.engine.gradient import mean_gradient, prepare
from jaxgen.models.layers import EVAL
from jaxgen.training.optimizers import HParams, ascend, average, limit_norms


class LearnerState(NamedTuple):
    """What training changes; `averaged` is None unless weights are averaged."""

    weights: Variables
    opt_state: Any
    averaged: Variables | None


class Learner(NamedTuple):
    """A model and its optimizer.

    Attributes:
      init: ``(key, knobs, params, stats) -> state``, with these parameters and batch statistics, or with drawn ones
        where they are None.
      step: ``(key, knobs, state, batch, moment) -> (state, loss, logits)``: one gradient step, and the batch's mean
        loss and logits ``[b, c]`` before it; logits are None unless the methods tell them.
      predict: ``(weights, inputs [b, ...]) -> logits [b, c]``.
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
      learner_config: how it learns.
      input_shape: the shape of one example.
    """

    def init(key: jax.Array, hparams: HParams, params: Any = None, stats: Any = None) -> LearnerState:
        variables = model.init(jax.random.fold_in(key, INIT), jnp.zeros((1, *input_shape)))
        stats = variables.get("batch_stats", {}) if stats is None else stats
        weights = Variables(variables["params"] if params is None else params, stats)
        opt_state = learner_config.optimize(jax.random.fold_in(key, NOISE), hparams).init(weights.params)
        return LearnerState(weights, opt_state, weights if "ema_decay" in learner_config.in_use else None)

    def step(
        key: jax.Array, hparams: HParams, state: LearnerState, batch: Batch, step_index: StepIndex
    ) -> tuple[LearnerState, jax.Array, jax.Array | None]:
        with jax.default_matmul_precision(learner_config.precision):
            terms = batch.terms
            batch, targets = prepare(learner_config, key, hparams, batch, step_index)
            params, stats = state.weights
            differentiate = functools.partial(mean_gradient, model, learner_config, hparams, terms=terms)
            loss, grads, seen, logits = differentiate(params, stats, batch, targets)
            if "sam_radius" in learner_config.in_use:
                there = ascend(params, grads, hparams["sam_radius"])
                _, grads, _, _ = differentiate(there, stats, batch, targets)
            optimizer = learner_config.optimize(jax.random.fold_in(key, NOISE), hparams)
            updates, opt_state = optimizer.update(grads, state.opt_state, params, progress=step_index.progress)
            if learner_config.groups:
                rates = {group: hparams[f"{group}_rate"] for group in learner_config.groups}
                updates = {group: optax.tree.scale(rate, updates[group]) for group, rate in rates.items()}
            params = optax.apply_updates(params, updates)
        if "max_norm" in learner_config.in_use:
            params = limit_norms(params, hparams["max_norm"])
        weights, averaged = Variables(params, seen), state.averaged
        if averaged is not None:
            averaged = average(averaged, weights, hparams["ema_decay"], step_index.count)
        return LearnerState(weights, opt_state, averaged), loss, logits

    def predict(weights: Variables, inputs: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(learner_config.precision):
            return model.apply(as_variables(weights), inputs, EVAL)

    return Learner(init, step, predict)


def final_variables(state: LearnerState) -> Variables:
    """The weights to predict with: averaged ones where they are kept."""
    return state.weights if state.averaged is None else state.averaged


def num_parameters(learner: Learner, hparams: HParams) -> int:
    """Trainable numbers in the model; nothing is trained or allocated."""
    return sum(leaf.size for leaf in jax.tree.leaves(state_shapes(learner, hparams).weights.params))


def state_bytes(learner: Learner, hparams: HParams) -> int:
    """Bytes of one member's parameters and optimizer state."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_shapes(learner, hparams)))


def state_shapes(learner: Learner, hparams: HParams) -> LearnerState:
    """The state's shapes, found without running anything; `hparams` may be shapes too."""
    return jax.eval_shape(lambda hparams: learner.init(jax.random.key(0), hparams), hparams)
