"""Optimizers as optax chains whose strengths are arrays, so that every member of an ensemble has its own.

A chain is built inside the traced program from one member's knobs. A link whose strength is 0 for all members is
left out of the program; at strength 0 a link is the identity, so leaving it out changes nothing but, perhaps, how the
compiler rounds. Beside the chain stand the pure functions of what happens around a step: `ascend` before the gradient
is taken again, `limit_norms` and `average` after the parameters have moved.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

HParams = Mapping[str, jax.Array]

# ``factor(progress, knobs)``, from `jaxgen.training.schedules.make_schedule`.
Schedule = Callable[[jax.Array, HParams], jax.Array]

# Links, in their order.
OPTIONAL_HPARAMS = ("clip_norm", "weight_decay", "l1", "gradient_noise", "decoupled_weight_decay")

# How each kind of optimizer makes a direction of gradients; the learning rate comes after.
RULES: dict[str, Callable[[HParams], optax.GradientTransformation]] = {
    "sgd": lambda hparams: optax.trace(hparams["momentum"]),
    "nesterov": lambda hparams: optax.trace(hparams["momentum"], nesterov=True),
    "adam": lambda hparams: optax.scale_by_adam(hparams["momentum"], hparams["second_moment"]),
    "adamw": lambda hparams: optax.scale_by_adam(hparams["momentum"], hparams["second_moment"]),
    "rmsprop": lambda hparams: optax.chain(
        optax.scale_by_rms(hparams["second_moment"]), optax.trace(hparams["momentum"])
    ),
}


def add_l1(strength: jax.Array) -> optax.GradientTransformation:
    """Adds the (sub)gradient of ``strength * sum |p|`` to the gradient."""
    return optax.stateless(lambda grads, params: jax.tree.map(lambda g, p: g + strength * jnp.sign(p), grads, params))


def clip_by_norm(max_norm: jax.Array) -> optax.GradientTransformation:
    """Scales a gradient of global norm above `max_norm` down to it (Pascanu et al. 2013); 0 clips nothing."""
    return optax.clip_by_global_norm(jnp.where(max_norm > 0, max_norm, jnp.inf))


def add_gradient_noise(key: jax.Array, stddev: jax.Array) -> optax.GradientTransformation:
    """Adds independent Gaussian noise of standard deviation `stddev` to each gradient (Neelakantan et al. 2015).

    Not annealed: ``eta = stddev**2`` and ``gamma = 0`` in their equation 1.
    """
    return optax.add_noise(stddev**2, 0.0, key)


def scale_by_scheduled_rate(schedule: Schedule, hparams: HParams) -> optax.GradientTransformationExtraArgs:
    """Multiplies by ``-learning_rate`` and the schedule's factor; `update` takes the step's `progress` besides."""

    def update(updates: Any, state: Any, params: Any = None, *, progress: jax.Array, **others: Any) -> tuple[Any, Any]:
        rate = hparams["learning_rate"] * schedule(progress, hparams)
        return optax.scale_by_learning_rate(rate).update(updates, state, params)

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def make_optimizer(
    kind: str, links: frozenset[str], *, schedule: Schedule
) -> Callable[[jax.Array, HParams], optax.GradientTransformationExtraArgs]:
    """An optimizer behind the named `links`, in the order clip, weight decay, L1, noise.

    Then come the kind's own rule, the decoupled weight decay, and the learning rate times the schedule's factor: of a
    parameter p, ``learning_rate * factor * decay * p`` is taken off (Loshchilov and Hutter 2019, "Decoupled weight
    decay regularization", https://arxiv.org/abs/1711.05101; as in optax and PyTorch, the learning rate counts).
    ``adamw`` is ``adam`` whose ``weight_decay`` is decoupled too. RMSprop's momentum adds up directions, as in PyTorch;
    optax's adds up steps, which differs where the learning rate changes. Epsilons are optax's defaults.

    Args:
      kind: ``sgd``, ``nesterov``, ``adam``, ``adamw`` or ``rmsprop``.
      links: those of `OPTIONAL_HPARAMS` that any member of the ensemble uses.
      schedule: from `jaxgen.training.schedules.make_schedule`.

    Returns:
      ``build(key, hparams)``: a member's chain, whose `update` takes ``progress`` besides. `hparams` holds scalars:
      ``learning_rate``; ``momentum``, which is Adam's b1; ``second_moment``, which is Adam's b2 and RMSprop's decay;
      one for each link; the schedule's. `key` feeds the noise.

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
    """The parameters `radius` up the gradient, where sharpness-aware minimization takes the gradient to go down.

    Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization", equation 2 with p = 2,
    https://arxiv.org/abs/2010.01412. Radius 0, or a gradient of 0, leaves the parameters as they are.
    """
    norm = optax.tree.norm(grads)
    return optax.tree.add_scale(params, jnp.where(norm > 0, radius / norm, 0), grads)


def limit_norms(params: Any, max_norm: jax.Array) -> Any:
    """Scales every unit's incoming weights down to a Euclidean norm of `max_norm` at most; 0 limits nothing.

    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", section 5.1,
    https://jmlr.org/papers/v15/srivastava14a.html. A unit's weights lie along all axes but the last of a leaf; leaves
    of fewer than two axes (biases, scales) are left alone.
    """
    limit = jnp.where(max_norm > 0, max_norm, jnp.inf)

    def scale_down(weights: jax.Array) -> jax.Array:
        if weights.ndim < 2:
            return weights
        norms = jnp.linalg.vector_norm(weights, axis=tuple(range(weights.ndim - 1)), keepdims=True)
        return weights * jnp.where(norms > limit, limit / norms, 1)

    return jax.tree.map(scale_down, params)


def average(averaged: Any, params: Any, decay: jax.Array, count: jax.Array) -> Any:
    """The exponential moving average of the parameters, one step on; with `decay` 0, the parameters themselves.

    The first steps count more, so that the average forgets its first value: the decay is ``min(decay, (1 + count) /
    (10 + count))``, `count` being the steps averaged before, as in TensorFlow
    (https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage).
    """
    decay = jnp.minimum(decay, (1 + count) / (10 + count))
    return optax.incremental_update(params, averaged, 1 - decay)
