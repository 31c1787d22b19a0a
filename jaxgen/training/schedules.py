"""Learning-rate schedules by epochs, so that subset ratios differ in steps alone.

A schedule is a factor of the learning rate, a function of a step's `progress`: the epochs finished when the step is
done, a float32 scalar above 0 and at most the number of epochs. Its name, epochs and milestones are fixed when a
program is compiled; its rates are a member's own.
"""

import jax
import jax.numpy as jnp

from jaxgen.training.optimizers import HParams, Schedule

# TrainState is e + (i + 1) / steps in float32, and may miss the whole epoch (or milestone) that a step finishes at by
# some units in the last place. So a rate changes this share of the progress late; the next step is further off, unless
# an epoch has thousands of steps and there are hundreds of epochs.
ROUNDING = 1e-6

# The part of the epochs in which the triangle rises, unless a warm-up is given.
TRIANGLE_RISE = 0.15


def make_schedule(name: str, *, epochs: int, milestones: tuple[float, ...] = ()) -> Schedule:
    """The schedule of that name, after a warm-up.

    * ``constant``: 1.
    * ``step``: times ``decay_rate`` at each milestone.
    * ``exponential``: times ``decay_rate`` after each epoch (Zhang et al. 2017, "Understanding deep learning requires
      rethinking generalization", appendix A, https://arxiv.org/abs/1611.03530: 0.95).
    * ``cosine`` (Loshchilov and Hutter 2017, "SGDR", equation 5, https://arxiv.org/abs/1608.03983), ``linear``: from 1
      where the warm-up ends to ``final_rate`` in the last step.
    * ``triangle``: from 0 to 1 over the warm-up, 15 % of the epochs if there is none, then linearly to 0 in the last
      step (Feldman and Zhang 2020, "What neural networks memorize and why", https://arxiv.org/abs/2008.03703).

    Args:
      name: one of these.
      epochs: the length of the training.
      milestones: epochs, for ``step``; the step that finishes exactly at one still has the old rate.

    Returns:
      ``factor(progress, knobs)``: what to multiply the learning rate by, in [0, 1] for rates in [0, 1]. `hparams` holds
      scalars: ``warmup_epochs`` (0: none), and ``decay_rate`` or ``final_rate`` where they are named above.

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

    def factor(progress: jax.Array, hparams: HParams) -> jax.Array:
        warmup = hparams["warmup_epochs"]
        if name == "triangle":
            warmup = jnp.where(warmup > 0, warmup, TRIANGLE_RISE * epochs)
        return warm_up(progress, warmup) * decays[name](progress, passed_share(progress, warmup, epochs), hparams)

    return factor


def warm_up(progress: jax.Array, warmup: jax.Array) -> jax.Array:
    """Linear from 0 to 1 over `warmup` epochs, then exactly 1; 0 epochs are none (Goyal et al. 2017, section 2.2)."""
    return jnp.where(progress < warmup, progress / jnp.maximum(progress, warmup), 1)


def passed_share(progress: jax.Array, warmup: jax.Array, epochs: int) -> jax.Array:
    """How much of the time between the end of the warm-up and the last epoch has passed, in [0, 1]."""
    # A warm-up may be as long as the training, or longer.
    length = jnp.maximum(epochs - warmup, jnp.finfo(jnp.float32).tiny)
    return jnp.clip((progress - warmup) / length, 0, 1)


def interpolate(final: jax.Array | float, share: jax.Array) -> jax.Array:
    """From exactly 1 at share 0 to exactly `final` at share 1."""
    return (1 - share) + final * share


def step_decay(progress: jax.Array, milestones: tuple[float, ...], rate: jax.Array) -> jax.Array:
    """`rate` to the power of the milestones that were finished before this step."""
    passed = progress * (1 - ROUNDING) > jnp.array(milestones, jnp.float32)
    return jnp.prod(jnp.where(passed, rate, 1.0))


def epochs_before(progress: jax.Array) -> jax.Array:
    """Whole epochs that were finished before this step: 0 in all the first, its last step included."""
    return jnp.ceil(progress * (1 - ROUNDING)) - 1
