"""What one device does with its members, as pure functions: enrol and start them, train a block of steps, examine them.

`Recipe` holds what is fixed when a program is compiled; all else is an argument. `ensemble` compiles these functions
and spreads them over devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.learner import ORDER, Batch, Learner, LearnerState
from jaxgen.engine.order import permute
from jaxgen.optim import Knobs
from jaxgen.types import Outcome

EVALUATE_AT_ONCE = 500
# A last epoch whose mean training loss is this many times a blind guess's (log c) has diverged, though still finite.
LOSS_LIMIT = 10.0


class Recipe(NamedTuple):
    """What all members of an ensemble share.

    Attributes:
      learner: the model and its optimizer.
      enrol: a pure function from a row (any pytree of scalars) to the member's key, its subset (bool ``[n]``) and its
        knobs.
      epochs: passes over a member's own examples.
      batch_size: b.
      num_examples: n.
      num_classes: c.
      scale: a stored value times this is what the network sees.
    """

    learner: Learner
    enrol: Callable[[Any], tuple[jax.Array, jax.Array, Knobs]]
    epochs: int
    batch_size: int
    num_examples: int
    num_classes: int
    scale: float


class Member(NamedTuple):
    """One member: scalars and vectors here, a leading axis m when batched.

    Attributes:
      key: every random draw of its training.
      trained_on: bool ``[n]``.
      own: int32 ``[n]``: the examples it trains on first.
      size: int32: how many those are.
      knobs: its learning rate and other strengths.
    """

    key: jax.Array
    trained_on: jax.Array
    own: jax.Array
    size: jax.Array
    knobs: Knobs


class Progress(NamedTuple):
    """A member in training: the learner's state and the sum of its step losses in each epoch, float32 ``[e]``."""

    state: LearnerState
    loss_sums: jax.Array


class Examples(NamedTuple):
    """The data on a device: stored values (uint8 where images), labels."""

    images: jax.Array
    labels: jax.Array


class Block(NamedTuple):
    """Part of a training: epochs ``[first_epoch, last_epoch)``, in each the steps ``[first_step, last_step)``."""

    first_epoch: int
    last_epoch: int
    first_step: int
    last_step: int


def start_members(recipe: Recipe, rows: Any) -> tuple[Member, Progress]:
    """Enrols each row and draws its initial weights."""

    def start(row: Any) -> tuple[Member, Progress]:
        key, trained_on, knobs = recipe.enrol(row)
        own = jnp.argsort(~trained_on, stable=True).astype(jnp.int32)
        member = Member(key, trained_on, own, jnp.sum(trained_on, dtype=jnp.int32), knobs)
        return member, Progress(recipe.learner.init(key, knobs), jnp.zeros(recipe.epochs))

    # One member after another: a vmapped initializer takes twice as long to compile and is no faster.
    return jax.lax.map(start, rows)


def advance_members(recipe: Recipe, members: Member, progress: Progress, data: Examples, block: Block) -> Progress:
    """Trains all members through a block, in lockstep; a member that has fewer steps in an epoch rests."""
    num_steps = -(-members.size // recipe.batch_size)
    positions = jnp.arange(-(-recipe.num_examples // recipe.batch_size) * recipe.batch_size, dtype=jnp.int32)

    def epoch_order(member: Member, epoch: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.fold_in(member.key, ORDER), epoch)
        return member.own[permute(key, positions, member.size)]

    def one_epoch(epoch: jax.Array, progress: Progress) -> Progress:
        order = jax.vmap(epoch_order, (0, None))(members, epoch)

        def one_step(step: jax.Array, progress: Progress) -> Progress:
            mapped = jax.vmap(lambda member, one, order: step_member(recipe, member, one, order, data, epoch, step))
            return mapped(members, progress, order)

        return jax.lax.fori_loop(block.first_step, jnp.minimum(block.last_step, jnp.max(num_steps)), one_step, progress)

    return jax.lax.fori_loop(block.first_epoch, block.last_epoch, one_epoch, progress)


def step_member(
    recipe: Recipe,
    member: Member,
    progress: Progress,
    order: jax.Array,
    data: Examples,
    epoch: jax.Array,
    step: jax.Array,
) -> Progress:
    """One gradient step of one member on batch `step` of this epoch's `order`; none if the epoch is over for it."""
    start = step * recipe.batch_size
    chosen = jax.lax.dynamic_slice(order, (start,), (recipe.batch_size,))
    weights = (start + jnp.arange(recipe.batch_size) < member.size).astype(jnp.float32)
    batch = Batch(as_inputs(recipe, data.images[chosen]), data.labels[chosen], weights)
    state, loss = recipe.learner.step(member.key, member.knobs, progress.state, batch)
    live = start < member.size
    state = jax.tree.map(lambda new, old: jnp.where(live, new, old), state, progress.state)
    return Progress(state, progress.loss_sums.at[epoch].add(jnp.where(live, loss, 0)))


def finish_members(
    recipe: Recipe, members: Member, progress: Progress, train: Examples, test: Examples | None
) -> Outcome:
    """What each member gets right of all training and test examples, and whether its training stayed finite."""
    correct = correct_predictions(recipe, progress.state, train)
    if test is None:
        test_correct = jnp.zeros((len(correct), 0), bool)
    else:
        test_correct = correct_predictions(recipe, progress.state, test)
    num_steps = -(-members.size // recipe.batch_size)
    loss_curve = progress.loss_sums / num_steps[:, None]
    finite = loss_curve[:, -1] < LOSS_LIMIT * np.log(recipe.num_classes)
    for leaf in jax.tree.leaves(progress.state.params):
        finite &= jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    pack = lambda flags: jnp.packbits(flags, axis=1)  # noqa: E731
    return Outcome(pack(members.trained_on), pack(correct), pack(test_correct), loss_curve, finite)


def correct_predictions(recipe: Recipe, states: LearnerState, data: Examples) -> jax.Array:
    """Whether each member's most likely class is the label: bool ``[m, n]``; `EVALUATE_AT_ONCE` examples at a time."""
    total = len(data.labels)
    size = min(EVALUATE_AT_ONCE, total)

    def some(i: jax.Array, correct: jax.Array) -> jax.Array:
        # The last piece starts early enough to be whole; it writes some answers twice, alike.
        start = jnp.minimum(i * size, total - size)
        images, labels = (jax.lax.dynamic_slice_in_dim(field, start, size) for field in data)
        logits = jax.vmap(recipe.learner.predict, (0, None))(states, as_inputs(recipe, images))
        return jax.lax.dynamic_update_slice(correct, jnp.argmax(logits, -1) == labels[None], (0, start))

    num_members = len(jax.tree.leaves(states)[0])
    return jax.lax.fori_loop(0, -(-total // size), some, jnp.zeros((num_members, total), bool))


def as_inputs(recipe: Recipe, images: jax.Array) -> jax.Array:
    """Stored values as the network sees them: float32, scaled."""
    return images.astype(jnp.float32) * recipe.scale
