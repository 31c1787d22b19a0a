"""Learning-rate schedules as functions of epochs, so that they do not depend on the size of the training set.

A schedule returns a factor of the learning rate, given the `progress` of a step and its `length`: the number of epochs
finished when the step is done, a float32 scalar above 0 and at most the number of epochs, and the part of an epoch that
it takes. A warm-up counts the step itself, so that the first step has a rate above 0; a decay counts those before it,
so that the last one has. Name, epochs and milestones are fixed when a program is compiled; rates are hyperparameters of
a member.
"""

import jax
import jax.numpy as jnp

from jaxgen.training.optimizers import HParams, Schedule

# Progress is e + (i + 1) / steps in float32, which may differ by rounding from the integer epoch (or milestone) at
# which a step ends. Rates therefore change late by this fraction of the progress, which is less than a step unless
# there are hundreds of epochs with thousands of steps.
ROUNDING = 1e-6

# Fraction of the epochs in which ``triangle`` rises, unless a warm-up is given.
TRIANGLE_RISE = 0.15


def make_schedule(name: str, *, epochs: int, milestones: tuple[float, ...] = ()) -> Schedule:
    """The named schedule, after a linear warm-up.

    * ``constant``: 1.
    * ``step``: multiplied by ``decay_rate`` at each milestone.
    * ``exponential``: multiplied by ``decay_rate`` after each epoch (Zhang et al. 2017, "Understanding deep learning
      requires rethinking generalization", appendix A, https://arxiv.org/abs/1611.03530, with 0.95).
    * ``cosine`` (Loshchilov and Hutter 2017, "SGDR", equation 5, https://arxiv.org/abs/1608.03983), ``linear``: from 1
      at the end of the warm-up to ``final_rate`` at the end of training, after the last step.
    * ``triangle``: from 0 to 1 over the warm-up, by default 15 % of the epochs, then linearly to 0 at the end, after
      the last step (Feldman and Zhang 2020, "What neural networks memorize and why", https://arxiv.org/abs/2008.03703).

    Args:
      name: one of the above.
      epochs: number of epochs of training.
      milestones: epochs, for ``step``; the step that ends exactly at a milestone still has the old rate.

    Returns:
      ``factor(progress, length, hparams)``, the factor of the learning rate, in [0, 1] for rates in [0, 1]. `hparams`
      holds scalars: ``warmup_epochs`` (0 for none), and ``decay_rate`` or ``final_rate`` for the schedules that use
      them.

    Raises:
      ValueError: if the name is unknown.
    """
    decays = {
        "constant": lambda progress, passed, hparams: 1.0,
        "step": lambda progress, passed, hparams: step_decay(progress, milestones, hparams["decay_rate"]),
        "exponential": lambda progress, passed, hparams: hparams["decay_rate"] ** epochs_before(progress),
        "cosine": lambda progress, passed, hparams: interpolate(
            hparams["final_rate"], (1 - jnp.cos(jnp.pi * passed)) / 2
        ),
        "linear": lambda progress, passed, hparams: interpolate(hparams["final_rate"], passed),
        "triangle": lambda progress, passed, hparams: interpolate(0.0, passed),
    }
    if name not in decays:
        raise ValueError(f"unknown schedule {name}; known: {', '.join(decays)}")

    def factor(progress: jax.Array, length: jax.Array, hparams: HParams) -> jax.Array:
        warmup = hparams["warmup_epochs"]
        if name == "triangle":
            warmup = jnp.where(warmup > 0, warmup, TRIANGLE_RISE * epochs)
        passed = passed_share(progress - length, warmup, epochs)
        return warm_up(progress, warmup) * decays[name](progress, passed, hparams)

    return factor


def warm_up(progress: jax.Array, warmup: jax.Array) -> jax.Array:
    """Linear warm-up from 0 to 1 over `warmup` epochs, then exactly 1; 0 for none (Goyal et al. 2017, section 2.2)."""
    return jnp.where(progress < warmup, progress / jnp.maximum(progress, warmup), 1)


def passed_share(before: jax.Array, warmup: jax.Array, epochs: int) -> jax.Array:
    """Fraction of the time from the end of the warm-up to the last epoch that has passed `before` a step, in [0, 1]."""
    # The warm-up may be as long as the training, or longer.
    length = jnp.maximum(epochs - warmup, jnp.finfo(jnp.float32).tiny)
    return jnp.clip((before - warmup) / length, 0, 1)


def interpolate(final: jax.Array | float, share: jax.Array) -> jax.Array:
    """Linear interpolation from exactly 1 at share 0 to exactly `final` at share 1."""
    return (1 - share) + final * share


def step_decay(progress: jax.Array, milestones: tuple[float, ...], rate: jax.Array) -> jax.Array:
    """`rate` to the power of the number of milestones passed before this step."""
    passed = progress * (1 - ROUNDING) > jnp.array(milestones, jnp.float32)
    return jnp.prod(jnp.where(passed, rate, 1.0))


def epochs_before(progress: jax.Array) -> jax.Array:
    """Number of epochs finished before this step: 0 throughout the first epoch, including its last step."""
    return jnp.ceil(progress * (1 - ROUNDING)) - 1
