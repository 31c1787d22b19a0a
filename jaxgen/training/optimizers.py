"""Optimizers as optax chains with traced hyperparameters, so that members of an ensemble may differ in them.

A chain is built inside the traced program from the hyperparameters of one member. A link whose hyperparameter is 0 for
all members is left out of the program. At 0 a link is the identity, so this changes at most the rounding of the
compiled program. Further pure functions apply around a step: `ascend` before the second gradient of sharpness-aware
minimization, `limit_norms` and `average` after the update.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

HParams = Mapping[str, jax.Array]

# ``factor(progress, length, hparams)``, from `jaxgen.training.schedules.make_schedule`.
Schedule = Callable[[jax.Array, jax.Array, HParams], jax.Array]

# Optional links, in the order of the chain.
OPTIONAL_HPARAMS = ("clip_norm", "weight_decay", "l1", "gradient_noise", "decoupled_weight_decay")

# The update rule of each kind of optimizer, before the learning rate is applied.
RULES: dict[str, Callable[[HParams], optax.GradientTransformation]] = {
    "sgd": lambda hparams: optax.trace(hparams["momentum"]),
    "nesterov": lambda hparams: optax.trace(hparams["momentum"], nesterov=True),
    "adam": lambda hparams: optax.scale_by_adam(hparams["momentum"], hparams["second_moment"]),
    "adamw": lambda hparams: optax.scale_by_adam(hparams["momentum"], hparams["second_moment"]),
    "rmsprop": lambda hparams: optax.chain(
        optax.scale_by_rms(hparams["second_moment"], bias_correction=True), optax.trace(hparams["momentum"])
    ),
}


def add_l1(strength: jax.Array) -> optax.GradientTransformation:
    """Adds the subgradient of ``strength * sum |p|`` to the gradient."""
    return optax.stateless(lambda grads, params: jax.tree.map(lambda g, p: g + strength * jnp.sign(p), grads, params))


def clip_by_norm(max_norm: jax.Array) -> optax.GradientTransformation:
    """Clips the global norm of the gradient to `max_norm` (Pascanu et al. 2013); 0 means no clipping."""
    return optax.clip_by_global_norm(jnp.where(max_norm > 0, max_norm, jnp.inf))


def add_gradient_noise(key: jax.Array, stddev: jax.Array) -> optax.GradientTransformation:
    """Adds independent Gaussian noise of standard deviation `stddev` to each gradient (Neelakantan et al. 2015).

    The noise is not annealed: ``eta = stddev**2`` and ``gamma = 0`` in their equation 1.
    """
    return optax.add_noise(stddev**2, 0.0, key)


def scale_by_scheduled_rate(schedule: Schedule, hparams: HParams) -> optax.GradientTransformationExtraArgs:
    """Multiplies by ``-learning_rate`` and the factor of the schedule; `update` takes `progress` and `length` too."""

    def update(
        updates: Any, state: Any, params: Any = None, *, progress: jax.Array, length: jax.Array, **others: Any
    ) -> tuple[Any, Any]:
        rate = hparams["learning_rate"] * schedule(progress, length, hparams)
        return optax.scale_by_learning_rate(rate).update(updates, state, params)

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def make_optimizer(
    kind: str, links: frozenset[str], *, schedule: Schedule
) -> Callable[[jax.Array, HParams], optax.GradientTransformationExtraArgs]:
    """Makes an optimizer: optional links, the update rule of its kind, and the scheduled learning rate.

    The order is gradient clipping, weight decay, L1, gradient noise, update rule, decoupled weight decay, learning rate
    times schedule. Decoupled weight decay subtracts ``learning_rate * factor * decay * p`` from a parameter p
    (Loshchilov and Hutter 2019, "Decoupled weight decay regularization", https://arxiv.org/abs/1711.05101; as in optax
    and PyTorch, it is multiplied by the learning rate). ``adamw`` is ``adam`` with decoupled ``weight_decay``. The
    running mean of RMSprop is bias-corrected, as Adam's: without it, as in PyTorch and Keras, the first step would be
    1 / sqrt(1 - second_moment) times the learning rate, 32 times at 0.999. Its momentum accumulates updates before the
    learning rate is applied, as in PyTorch; optax's accumulates them after, which differs when the learning rate
    changes. Epsilons are optax's defaults.

    Args:
      kind: ``sgd``, ``nesterov``, ``adam``, ``adamw`` or ``rmsprop``.
      links: the elements of `OPTIONAL_HPARAMS` that any member of the ensemble uses.
      schedule: from `jaxgen.training.schedules.make_schedule`.

    Returns:
      ``build(key, hparams)``, which returns the chain of a member; its `update` takes ``progress`` and ``length`` too,
      as schedules do. `key` draws the gradient noise. `hparams` holds scalars: ``learning_rate``; ``momentum`` (b1 of
      Adam); ``second_moment`` (b2 of Adam, decay of RMSprop); one for each link; those of the schedule.

    Raises:
      ValueError: if the kind or a link is unknown.
    """
    if kind not in RULES:
        raise ValueError(f"unknown optimizer {kind}; known: {', '.join(RULES)}")
    unknown = links - set(OPTIONAL_HPARAMS)
    if unknown:
        raise ValueError(f"unknown links {sorted(unknown)}; known: {', '.join(OPTIONAL_HPARAMS)}")
    decoupled = {"decoupled_weight_decay"} | ({"weight_decay"} if kind == "adamw" else set())

    def build(key: jax.Array, hparams: HParams) -> optax.GradientTransformationExtraArgs:
        makers = {
            "clip_norm": clip_by_norm,
            "weight_decay": optax.add_decayed_weights,
            "l1": add_l1,
            "gradient_noise": lambda stddev: add_gradient_noise(key, stddev),
            "decoupled_weight_decay": optax.add_decayed_weights,
        }
        chosen = {name: makers[name](hparams[name]) for name in OPTIONAL_HPARAMS if name in links}
        before = [link for name, link in chosen.items() if name not in decoupled]
        after = [link for name, link in chosen.items() if name in decoupled]
        return optax.chain(*before, RULES[kind](hparams), *after, scale_by_scheduled_rate(schedule, hparams))

    return build


def ascend(params: Any, grads: Any, radius: jax.Array) -> Any:
    """Moves the parameters a distance `radius` along the gradient, for sharpness-aware minimization.

    Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization", equation 2 with p = 2,
    https://arxiv.org/abs/2010.01412. With radius 0 or a zero gradient, the parameters do not change.
    """
    norm = optax.tree.norm(grads)
    return optax.tree.add_scale(params, jnp.where(norm > 0, radius / norm, 0), grads)


def limit_norms(params: Any, max_norm: jax.Array) -> Any:
    """Max-norm regularization: limits the Euclidean norm of each unit's incoming weights; 0 means no limit.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", section 5.1,
    https://jmlr.org/papers/v15/srivastava14a.html. The weights of a unit lie along all axes of a leaf but the last.
    Leaves with fewer than two axes (biases, scales) are not changed.
    """
    limit = jnp.where(max_norm > 0, max_norm, jnp.inf)

    def scale_down(weights: jax.Array) -> jax.Array:
        if weights.ndim < 2:
            return weights
        norms = jnp.linalg.vector_norm(weights, axis=tuple(range(weights.ndim - 1)), keepdims=True)
        return weights * jnp.where(norms > limit, limit / norms, 1)

    return jax.tree.map(scale_down, params)


def average(averaged: Any, params: Any, decay: jax.Array, count: jax.Array) -> Any:
    """Updates an exponential moving average of the parameters; with `decay` 0 it returns the parameters.

    In the first steps the decay is lower, so that the initial value is forgotten: it is ``min(decay, (1 + count) /
    (10 + count))`` after `count` earlier updates, as in TensorFlow
    (https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage).
    """
    decay = jnp.minimum(decay, (1 + count) / (10 + count))
    return optax.incremental_update(params, averaged, 1 - decay)
