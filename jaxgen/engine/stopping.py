"""Early stopping: after each epoch every member is judged on examples of its own that it does not train on."""

import jax
import jax.numpy as jnp

from jaxgen.engine.learner import LearnerState, final_weights
from jaxgen.engine.members import Best, Examples, Member, Progress, Recipe, as_inputs, keep_where, map_members
from jaxgen.losses import cross_entropy


def end_epoch(recipe: Recipe, members: Member, progress: Progress, data: Examples) -> Progress:
    """Judges every member on its validation examples; keeps the best weights and stops whom patience has run out for.

    A member without validation examples goes on to its last epoch.
    """
    losses = validation_losses(recipe, members, progress, data)

    def judge(progress: Progress, loss: jax.Array, num_validation: jax.Array) -> Progress:
        live, epoch, best = ~progress.done, progress.epoch + ~progress.done, progress.best
        better = live & ((loss < best.loss) | (best.epoch == 0) | (num_validation == 0))
        found = Best(final_weights(progress.state), jnp.where(jnp.isfinite(loss), loss, jnp.inf), epoch)
        best = keep_where(better, found, best)
        done = progress.done | (epoch >= recipe.epochs) | (epoch - best.epoch >= recipe.patience)
        return progress._replace(epoch=epoch, done=done, best=best)

    return map_members(judge)(progress, losses, members.num_validation)


def validation_losses(recipe: Recipe, members: Member, progress: Progress, data: Examples) -> jax.Array:
    """Each member's mean cross-entropy on its validation examples, ``[m]``."""

    def some(i: jax.Array, sums: jax.Array) -> jax.Array:
        def one(member: Member, state: LearnerState) -> jax.Array:
            positions = i * recipe.batch_size + jnp.arange(recipe.batch_size)
            chosen = member.own[jnp.minimum(member.size + positions, recipe.num_examples - 1)]
            logits = recipe.learner.predict(final_weights(state), as_inputs(recipe, data.images[chosen]))
            losses = cross_entropy(logits, data.labels[chosen])
            return jnp.sum(jnp.where(positions < member.num_validation, losses, 0))

        return sums + map_members(one)(members, progress.state)

    pieces = jnp.max(-(-members.num_validation // recipe.batch_size))
    sums = jax.lax.fori_loop(0, pieces, some, jnp.zeros(members.size.shape))
    return sums / jnp.maximum(members.num_validation, 1)
