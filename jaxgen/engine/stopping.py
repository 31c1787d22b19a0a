"""Early stopping: members that fit their labels, or no longer improve on validation examples, are done."""

import jax
import jax.numpy as jnp

from jaxgen.engine.curves import measure_epoch
from jaxgen.engine.learner import final_variables
from jaxgen.engine.member_inputs import normalize, training_inputs, training_labels
from jaxgen.engine.members import (
    Best,
    Data,
    EnsembleConfig,
    Examples,
    Member,
    TrainState,
    keep_where,
    map_members,
)
from jaxgen.training.losses import cross_entropy

# Less than one example adds to an accuracy.
ROUNDING = 1e-6


def end_epoch(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> TrainState:
    """Counts the epoch of every member that is not done, and marks those that are done now."""
    live = ~train_state.done
    epoch = train_state.epoch + live
    over = epoch >= config.epochs
    if config.epoch_metrics:
        curves = write_epoch(
            train_state.curves, measure_epoch(config, members, train_state, data), train_state.epoch, live
        )
        # NaN compares as false: a member that has diverged fits nothing. An accuracy is exact up to rounding.
        over |= curves["train_accuracy"][jnp.arange(len(epoch)), epoch - 1] >= config.epoch_metrics.fit_at - ROUNDING
        train_state = train_state._replace(curves=curves)
    if config.patience:
        best = update_best(config, members, train_state, epoch, data.train)
        over |= epoch - best.epoch >= config.patience
        train_state = train_state._replace(best=best)
    return train_state._replace(epoch=epoch, done=train_state.done | over)


def write_epoch(
    curves: dict[str, jax.Array], measured: dict[str, jax.Array], epoch: jax.Array, live: jax.Array
) -> dict[str, jax.Array]:
    """Writes measures ``[m]`` of an epoch into the curves ``[m, e]`` of the members that are `live`."""

    def write(curve: jax.Array, now: jax.Array) -> jax.Array:
        place = jnp.arange(len(epoch)), jnp.minimum(epoch, curve.shape[1] - 1)
        return curve.at[place].set(jnp.where(live, now, curve[place]))

    return jax.tree.map(write, curves, measured)


def update_best(
    config: EnsembleConfig, members: Member, train_state: TrainState, epoch: jax.Array, train: Examples
) -> Best:
    """Each member's best epoch so far by its validation examples; without any, its last.

    Args:
      config: of all members.
      members: m of them.
      train_state: before the epoch is counted.
      epoch: int32 ``[m]``, with the epoch counted.
      train: the training data.
    """
    losses = validation_losses(config, members, train_state, train)

    def update_one(train_state: TrainState, loss: jax.Array, num_validation: jax.Array, epoch: jax.Array) -> Best:
        best = train_state.best
        better = ~train_state.done & ((loss < best.loss) | (best.epoch == 0) | (num_validation == 0))
        new = Best(final_variables(train_state.learner), jnp.where(jnp.isfinite(loss), loss, jnp.inf), epoch)
        return keep_where(better, new, best)

    return map_members(update_one)(train_state, losses, members.num_validation, epoch)


def validation_losses(config: EnsembleConfig, members: Member, train_state: TrainState, train: Examples) -> jax.Array:
    """Each member's mean cross-entropy on its validation examples, ``[m]``."""

    def add_piece(i: jax.Array, sums: jax.Array) -> jax.Array:
        def piece_loss(member: Member, train_state: TrainState) -> jax.Array:
            positions = i * config.batch_size + jnp.arange(config.batch_size)
            chosen = member.example_order[jnp.minimum(member.size + positions, config.num_examples - 1)]
            inputs = normalize(config, training_inputs(config, member.config, train, chosen))
            logits = config.learner.predict(final_variables(train_state.learner), inputs)
            losses = cross_entropy(logits, training_labels(member.config, train)[chosen])
            return jnp.sum(jnp.where(positions < member.num_validation, losses, 0))

        return sums + map_members(piece_loss)(members, train_state)

    pieces = jnp.max(-(-members.num_validation // config.batch_size))
    sums = jax.lax.fori_loop(0, pieces, add_piece, jnp.zeros(members.size.shape))
    return sums / jnp.maximum(members.num_validation, 1)
