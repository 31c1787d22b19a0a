"""Optimizers as optax chains whose strengths are arrays, so that every member of an ensemble has its own.

A chain is built inside the traced program from one member's knobs. A link whose strength is 0 for all members is
left out of the program; at strength 0 a link is the identity, so leaving it out changes nothing but, perhaps, how the
compiler rounds.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

Knobs = Mapping[str, jax.Array]

STRENGTHS = ("clip_norm", "weight_decay", "l1", "gradient_noise")


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


def make_optimizer(links: frozenset[str]) -> Callable[[jax.Array, Knobs], optax.GradientTransformation]:
    """SGD with momentum behind the named `links`, in the order clip, weight decay, L1, noise.

    Args:
      links: those of `STRENGTHS` that any member of the ensemble uses.

    Returns:
      ``build(key, knobs)``: the chain of one member; `knobs` holds scalars ``learning_rate``, ``momentum`` and one for
      each link, `key` feeds the noise.
    """
    unknown = links - set(STRENGTHS)
    if unknown:
        raise ValueError(f"unknown links {sorted(unknown)}; known: {', '.join(STRENGTHS)}")

    def build(key: jax.Array, knobs: Knobs) -> optax.GradientTransformation:
        makers = {
            "clip_norm": clip_by_norm,
            "weight_decay": optax.add_decayed_weights,
            "l1": add_l1,
            "gradient_noise": lambda stddev: add_gradient_noise(key, stddev),
        }
        chosen = [makers[name](knobs[name]) for name in STRENGTHS if name in links]
        return optax.chain(
            *chosen, optax.trace(knobs["momentum"]), optax.scale_by_learning_rate(knobs["learning_rate"])
        )

    return build
