"""What one device does with its members, as pure functions: enrol and start them, train a block of steps, refill.

`ensemble` compiles these functions and spreads them over devices.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import ORDER, VALIDATION, Batch, Moment
from jaxgen.engine.class_order import draw_either
from jaxgen.engine.guided import decide_again, mixed_batch, weigh_pairs
from jaxgen.engine.learner import final_weights
from jaxgen.engine.member_inputs import given_to, learns_from
from jaxgen.engine.members import Best, Block, Curves, Data, Member, Progress, Recipe, keep_where, map_members
from jaxgen.engine.order import permute
from jaxgen.engine.stopping import end_epoch
from jaxgen.engine.tracking import track_epoch
from jaxgen.scores.example_stats import note_visits


def start_members(recipe: Recipe, rows: Any, data: Data) -> tuple[Member, Progress]:
    """Enrols each row and draws its initial weights."""

    def start(row: Any) -> tuple[Member, Progress]:
        enrolled = recipe.enrol(row, data.train)
        key, trained_on, knobs = enrolled.key, enrolled.trained_on, enrolled.knobs
        own = jnp.argsort(~trained_on, stable=True).astype(jnp.int32)
        size = jnp.sum(trained_on, dtype=jnp.int32)
        num_validation = jnp.floor(size * recipe.validation_share).astype(jnp.int32)
        if recipe.validation_share:
            positions = jnp.arange(recipe.num_examples, dtype=jnp.int32)
            shuffled = own[permute(jax.random.fold_in(key, VALIDATION), positions, size)]
            own = jnp.where(positions < size, shuffled, own)
        member = Member(enrolled, own, size - num_validation, num_validation)
        state = recipe.learner.init(key, knobs, enrolled.params, enrolled.stats)
        nothing = jnp.zeros((), jnp.int32)
        best = Best(final_weights(state), jnp.float32(jnp.inf), nothing) if recipe.patience else None
        curves = Curves(*[jnp.full(recipe.epochs, jnp.nan)] * len(Curves._fields)) if recipe.watch else None
        pairs = weigh_pairs(recipe, final_weights(state), enrolled.guide) if recipe.guided else None
        records = jnp.zeros((recipe.num_examples, recipe.track.num_columns)) if recipe.track else None
        sums = jnp.zeros(recipe.epochs)
        return member, Progress(state, sums, nothing, jnp.zeros((), bool), best, curves, pairs, records)

    # One member after another: a vmapped initializer takes twice as long to compile and is no faster.
    return jax.lax.map(start, rows)


def advance_members(recipe: Recipe, members: Member, progress: Progress, data: Data, block: Block) -> Progress:
    """Trains all members through a block, in lockstep; a member that has fewer steps in an epoch, or is done, rests."""

    def one_epoch(_: jax.Array, progress: Progress) -> Progress:
        order = map_members(functools.partial(draw_order, recipe))(members, progress.epoch)
        steps = jnp.where(progress.done, 0, -(-members.size // recipe.batch_size))

        def one_step(step: jax.Array, progress: Progress) -> Progress:
            if recipe.guided:
                progress = decide_again(recipe, members, progress, step)
            train_one = map_members(lambda *one: step_member(recipe, *one, data, step))
            return train_one(members, progress, order)

        last = jnp.minimum(block.last_step, jnp.max(steps))
        progress = jax.lax.fori_loop(block.first_step, last, one_step, progress)
        ends = block.ends_epoch > 0
        if recipe.track:
            track = functools.partial(track_epoch, recipe, members, data=data)
            progress = jax.lax.cond(ends, track, lambda one: one, progress)
        if not recipe.patience and not recipe.watch:
            epoch = progress.epoch + (ends & ~progress.done)
            return progress._replace(epoch=epoch, done=epoch >= recipe.epochs)
        return jax.lax.cond(ends, lambda one: end_epoch(recipe, members, one, data), lambda one: one, progress)

    return jax.lax.fori_loop(0, block.num_epochs, one_epoch, progress)


def draw_order(recipe: Recipe, member: Member, epoch: jax.Array) -> jax.Array:
    """What a member sees in an epoch: int32 ``[p]``, p whole batches; beyond its size the examples mean nothing."""
    count, who = -(-recipe.num_examples // recipe.batch_size) * recipe.batch_size, member.enrolled
    key = jax.random.fold_in(jax.random.fold_in(who.key, ORDER), epoch)
    if who.balance is None:
        return member.own[permute(key, jnp.arange(count, dtype=jnp.int32), member.size)]
    return draw_either(key, count, member.own, member.size, who.balance.groups, who.balance.aware)


def step_member(
    recipe: Recipe, member: Member, progress: Progress, order: jax.Array, data: Data, step: jax.Array
) -> Progress:
    """One gradient step of one member on batch `step` of this epoch's `order`; none if the epoch is over for it."""
    start = step * recipe.batch_size
    chosen = jax.lax.dynamic_slice(order, (start,), (recipe.batch_size,))
    weights = (start + jnp.arange(recipe.batch_size) < member.size).astype(jnp.float32)
    who, train = member.enrolled, data.train
    moment = Moment(progress.epoch, step, -(-member.size // recipe.batch_size))
    terms = None if who.balance is None else who.balance.terms
    if recipe.guided:
        inputs, labels = mixed_batch(recipe, who, train, progress.pairs, moment.count)
    else:
        inputs, labels = learns_from(recipe, who, train, chosen, moment.count), given_to(who, train)[chosen]
    batch = Batch(inputs, labels, weights, terms, who.remix)
    state, loss, logits = recipe.learner.step(who.key, who.knobs, progress.state, batch, moment)
    live = (start < member.size) & ~progress.done
    state = keep_where(live, state, progress.state)
    loss_sums = progress.loss_sums.at[progress.epoch].add(jnp.where(live, loss, 0))
    progress = progress._replace(state=state, loss_sums=loss_sums)
    if recipe.track:
        noted = progress.records, chosen, (weights > 0) & live, logits, batch.labels, progress.epoch + 1
        progress = progress._replace(records=note_visits(recipe.track, *noted))
    return progress


def refill_members(
    recipe: Recipe, rows: Any, fresh: jax.Array, members: Member, progress: Progress, data: Data
) -> tuple[Member, Progress]:
    """Starts `rows` in the places where `fresh`, bool ``[m]``, and leaves the other members as they are."""
    started = start_members(recipe, rows, data)

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(fresh.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, started, (members, progress))
