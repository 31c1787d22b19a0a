"""What trained members get right of all examples."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.learner import Weights
from jaxgen.engine.members import Examples, Member, Progress, Recipe, as_inputs, chosen_weights, map_members
from jaxgen.types import Outcome

# A last epoch whose mean training loss is this many times a blind guess's (log c) has diverged, though still finite.
LOSS_LIMIT = 10.0


def finish_members(
    recipe: Recipe, members: Member, progress: Progress, train: Examples, test: Examples | None
) -> Outcome:
    """What each member gets right of all training and test examples, and whether its training stayed finite."""
    weights = chosen_weights(progress)
    correct, test_correct = (
        jnp.zeros((len(members.size), 0), bool) if data is None else correct_predictions(recipe, weights, data)
        for data in (train, test)
    )
    num_steps = -(-members.size // recipe.batch_size)
    trained = jnp.arange(recipe.epochs)[None] < progress.epoch[:, None]
    loss_curve = jnp.where(trained, progress.loss_sums / num_steps[:, None], jnp.nan)
    kept = progress.epoch if progress.best is None else progress.best.epoch
    last = jnp.take_along_axis(loss_curve, jnp.maximum(kept - 1, 0)[:, None], axis=1)[:, 0]
    finite = last < LOSS_LIMIT * np.log(recipe.num_classes)
    for leaf in jax.tree.leaves(weights):
        finite &= jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    pack = lambda flags: jnp.packbits(flags, axis=1)  # noqa: E731
    validation = jax.vmap(validation_mask)(members) if recipe.validation_share else correct[:, :0]
    packed = pack(members.trained_on), pack(correct), pack(test_correct)
    return Outcome(*packed, loss_curve, kept, finite, pack(validation))


def validation_mask(member: Member) -> jax.Array:
    """Which examples a member is stopped by: bool ``[n]``."""
    place = jnp.arange(len(member.own))
    stopped_by = (place >= member.size) & (place < member.size + member.num_validation)
    return jnp.zeros(len(member.own), bool).at[member.own].set(stopped_by)


def correct_predictions(recipe: Recipe, weights: Weights, data: Examples) -> jax.Array:
    """Whether each member's most likely class is the label: bool ``[m, n]``; `examined_at_once` examples at a time."""
    total = len(data.labels)
    size = min(recipe.examined_at_once, total)

    def some(i: jax.Array, correct: jax.Array) -> jax.Array:
        # The last piece starts early enough to be whole; it writes some answers twice, alike.
        start = jnp.minimum(i * size, total - size)
        images, labels = (jax.lax.dynamic_slice_in_dim(field, start, size) for field in data)
        logits = map_members(recipe.learner.predict, (0, None))(weights, as_inputs(recipe, images))
        return jax.lax.dynamic_update_slice(correct, jnp.argmax(logits, -1) == labels[None], (0, start))

    num_members = len(jax.tree.leaves(weights)[0])
    return jax.lax.fori_loop(0, -(-total // size), some, jnp.zeros((num_members, total), bool))
