"""Training of the members on one device, as pure functions: start members, train a block of steps, refill slots.

`ensemble` compiles these functions and spreads them over devices.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import StepIndex
from jaxgen.engine.curves import start_curves
from jaxgen.engine.learner import final_variables
from jaxgen.engine.members import Best, Block, Data, EnsembleConfig, Member, TrainState, keep_where, map_members
from jaxgen.engine.order import permute
from jaxgen.engine.stopping import end_epoch
from jaxgen.engine.tracking import track_epoch
from jaxgen.keys import Draw, draw_key
from jaxgen.scores.example_stats import update_visit_stats


def start_members(config: EnsembleConfig, rows: Any, data: Data) -> tuple[Member, TrainState]:
    """Makes the member of each row and initializes its variables."""

    def start(row: Any) -> tuple[Member, TrainState]:
        member_config = config.make_member(row, data.train)
        key, trained_on, hparams = member_config.key, member_config.trained_on, member_config.hparams
        order = jnp.argsort(~trained_on, stable=True).astype(jnp.int32)
        size = jnp.sum(trained_on, dtype=jnp.int32)
        num_validation = jnp.floor(size * config.validation_share).astype(jnp.int32)
        if config.validation_share:
            positions = jnp.arange(config.num_examples, dtype=jnp.int32)
            shuffled = order[permute(draw_key(key, Draw.VALIDATION), positions, size)]
            order = jnp.where(positions < size, shuffled, order)
        member = Member(member_config, order, size - num_validation, num_validation)
        learner = config.learner.init(key, hparams, *member_config.variables)
        zero = jnp.zeros((), jnp.int32)
        best = Best(final_variables(learner), jnp.float32(jnp.inf), zero) if config.patience else None
        init = config.sampler.init
        sampler = init(config, member_config, final_variables(learner)) if init else None
        records = jnp.zeros((config.num_examples, config.track.num_columns)) if config.track else None
        sums = jnp.zeros(config.epochs)
        return member, TrainState(learner, sums, zero, jnp.zeros((), bool), best, None, sampler, records)

    # One member after another: a vmapped initializer takes twice as long to compile and is no faster.
    members, train_state = jax.lax.map(start, rows)
    if config.epoch_metrics:
        train_state = train_state._replace(curves=start_curves(config, members, train_state, data))
    return members, train_state


def advance_members(
    config: EnsembleConfig, members: Member, train_state: TrainState, data: Data, block: Block
) -> TrainState:
    """Trains all members through a block, in lockstep; members that have fewer steps or are done are masked."""

    def one_epoch(_: jax.Array, train_state: TrainState) -> TrainState:
        order = map_members(functools.partial(draw_order, config))(members, train_state.epoch)
        steps = jnp.where(train_state.done, 0, -(-members.size // config.batch_size))

        def one_step(step: jax.Array, train_state: TrainState) -> TrainState:
            if config.sampler.update:
                train_state = train_state._replace(sampler=config.sampler.update(config, members, train_state, step))
            train_one = map_members(lambda *member: step_member(config, *member, data, step))
            return train_one(members, train_state, order)

        last = jnp.minimum(block.last_step, jnp.max(steps))
        train_state = jax.lax.fori_loop(block.first_step, last, one_step, train_state)
        ends = block.ends_epoch > 0
        if config.track:
            track = functools.partial(track_epoch, config, members, data=data)
            train_state = jax.lax.cond(ends, track, lambda same: same, train_state)
        if not config.patience and not config.epoch_metrics:
            epoch = train_state.epoch + (ends & ~train_state.done)
            return train_state._replace(epoch=epoch, done=epoch >= config.epochs)
        end = functools.partial(end_epoch, config, members, data=data)
        return jax.lax.cond(ends, end, lambda same: same, train_state)

    return jax.lax.fori_loop(0, block.num_epochs, one_epoch, train_state)


def draw_order(config: EnsembleConfig, member: Member, epoch: jax.Array) -> jax.Array:
    """The examples of an epoch in order: int32 ``[p]``, padded from the member's size to whole batches."""
    count = -(-config.num_examples // config.batch_size) * config.batch_size
    key = jax.random.fold_in(draw_key(member.config.key, Draw.ORDER), epoch)
    return config.sampler.order(key, member, count)


def step_member(
    config: EnsembleConfig, member: Member, train_state: TrainState, order: jax.Array, data: Data, step: jax.Array
) -> TrainState:
    """One gradient step of one member on batch `step` of this epoch's `order`; no step if its epoch is over."""
    start = step * config.batch_size
    chosen = jax.lax.dynamic_slice(order, (start,), (config.batch_size,))
    weights = (start + jnp.arange(config.batch_size) < member.size).astype(jnp.float32)
    step_index = StepIndex(train_state.epoch, step, -(-member.size // config.batch_size))
    count, member_config = step_index.count, member.config
    batch = config.sampler.batch(config, member_config, train_state.sampler, data.train, chosen, weights, count)
    learner, loss, logits = config.learner.step(
        member_config.key, member_config.hparams, train_state.learner, batch, step_index
    )
    live = (start < member.size) & ~train_state.done
    learner = keep_where(live, learner, train_state.learner)
    loss_sums = train_state.loss_sums.at[train_state.epoch].add(jnp.where(live, loss, 0))
    train_state = train_state._replace(learner=learner, loss_sums=loss_sums)
    if config.track:
        visit = train_state.records, chosen, (weights > 0) & live, logits, batch.labels, train_state.epoch + 1
        train_state = train_state._replace(records=update_visit_stats(config.track, *visit))
    return train_state


def refill_members(
    config: EnsembleConfig, rows: Any, fresh: jax.Array, members: Member, train_state: TrainState, data: Data
) -> tuple[Member, TrainState]:
    """Starts `rows` in the slots where `fresh`, bool ``[m]``, and leaves the other members as they are."""
    started = start_members(config, rows, data)

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(fresh.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, started, (members, train_state))
