"""The end of an epoch: members are measured and judged, and who has fitted its labels or no longer improves is done."""

import jax
import jax.numpy as jnp

from jaxgen.engine.curves import measure_epoch
from jaxgen.engine.learner import final_weights
from jaxgen.engine.member_inputs import given_to, learns_from
from jaxgen.engine.members import Best, Curves, Data, Examples, Member, Progress, Recipe, keep_where, map_members
from jaxgen.training.losses import cross_entropy

# Below the share that one example is.
ROUNDING = 1e-6


def end_epoch(recipe: Recipe, members: Member, progress: Progress, data: Data) -> Progress:
    """Counts the epoch of every member that is not done, and finds who is done now."""
    live = ~progress.done
    epoch = progress.epoch + live
    over = epoch >= recipe.epochs
    if recipe.watch:
        curves = note_epoch(progress.curves, measure_epoch(recipe, members, progress, data), progress.epoch, live)
        # What is not a number compares as false: who has diverged fits nothing. A share is exact to its rounding.
        over |= curves.train_accuracy[jnp.arange(len(epoch)), epoch - 1] >= recipe.watch.fit_at - ROUNDING
        progress = progress._replace(curves=curves)
    if recipe.patience:
        best = judge(recipe, members, progress, epoch, data.train)
        over |= epoch - best.epoch >= recipe.patience
        progress = progress._replace(best=best)
    return progress._replace(epoch=epoch, done=progress.done | over)


def note_epoch(curves: Curves, measured: Curves, epoch: jax.Array, live: jax.Array) -> Curves:
    """Writes what was measured, ``[m]``, into the curves ``[m, e]`` of the members that are `live`."""

    def note(curve: jax.Array, now: jax.Array) -> jax.Array:
        place = jnp.arange(len(epoch)), jnp.minimum(epoch, curve.shape[1] - 1)
        return curve.at[place].set(jnp.where(live, now, curve[place]))

    return jax.tree.map(note, curves, measured)


def judge(recipe: Recipe, members: Member, progress: Progress, epoch: jax.Array, train: Examples) -> Best:
    """Each member's best epoch so far by its validation examples; without any, its last.

    Args:
      recipe: of all members.
      members: who they are.
      progress: before the epoch is counted.
      epoch: int32 ``[m]``, with it.
      train: the training data.
    """
    losses = validation_losses(recipe, members, progress, train)

    def judge_one(progress: Progress, loss: jax.Array, num_validation: jax.Array, epoch: jax.Array) -> Best:
        best = progress.best
        better = ~progress.done & ((loss < best.loss) | (best.epoch == 0) | (num_validation == 0))
        found = Best(final_weights(progress.state), jnp.where(jnp.isfinite(loss), loss, jnp.inf), epoch)
        return keep_where(better, found, best)

    return map_members(judge_one)(progress, losses, members.num_validation, epoch)


def validation_losses(recipe: Recipe, members: Member, progress: Progress, train: Examples) -> jax.Array:
    """Each member's mean cross-entropy on its validation examples, ``[m]``."""

    def some(i: jax.Array, sums: jax.Array) -> jax.Array:
        def one(member: Member, progress: Progress) -> jax.Array:
            positions = i * recipe.batch_size + jnp.arange(recipe.batch_size)
            chosen = member.own[jnp.minimum(member.size + positions, recipe.num_examples - 1)]
            inputs = learns_from(recipe, member.enrolled, train, chosen)
            logits = recipe.learner.predict(final_weights(progress.state), inputs)
            losses = cross_entropy(logits, given_to(member.enrolled, train)[chosen])
            return jnp.sum(jnp.where(positions < member.num_validation, losses, 0))

        return sums + map_members(one)(members, progress)

    pieces = jnp.max(-(-members.num_validation // recipe.batch_size))
    sums = jax.lax.fori_loop(0, pieces, some, jnp.zeros(members.size.shape))
    return sums / jnp.maximum(members.num_validation, 1)
