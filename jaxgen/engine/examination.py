"""What trained members get right of all examples."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.batch import Weights
from jaxgen.engine.curves import measure_end, piece, see_all
from jaxgen.engine.member_inputs import chosen_weights, true_to, validation_mask
from jaxgen.engine.members import Data, Examples, Member, Progress, Recipe
from jaxgen.engine.tracking import examine_tracked
from jaxgen.types import Outcome

# A last epoch whose mean training loss is this many times a blind guess's (log c) has diverged, though still finite.
LOSS_LIMIT = 10.0


def finish_members(recipe: Recipe, members: Member, progress: Progress, data: Data) -> Outcome:
    """What each member gets right of all training and test examples, and whether its training stayed finite."""
    weights = chosen_weights(progress)
    measures = {}
    if recipe.track:
        correct, measures = examine_tracked(recipe, members, progress, weights, data)
    else:
        correct = correct_predictions(recipe, members, weights, data.train, own=True)
    test_correct = jnp.zeros((len(members.size), 0), bool)
    if data.test is not None:
        test_correct = correct_predictions(recipe, members, weights, data.test)
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
    packed = pack(members.enrolled.trained_on), pack(correct), pack(test_correct)
    if recipe.keeps:
        number, held = len(members.size), ({name: weights.params[name] for name in recipe.keeps}, weights.stats)
        leaves = [leaf.reshape(number, -1) for leaf in jax.tree.leaves(held)]
        measures["params"] = jnp.concatenate(leaves, axis=1)
    if recipe.watch:
        curves = {f"{name}_curve": curve for name, curve in progress.curves._asdict().items()}
        measures |= {**curves, **measure_end(recipe, members, weights, data)}
    return Outcome(*packed, loss_curve, kept, finite, pack(validation), measures)


def correct_predictions(
    recipe: Recipe, members: Member, weights: Weights, data: Examples, *, own: bool = False
) -> jax.Array:
    """Whether each member's most likely class is the true label: bool ``[m, n]``; `own` as in `see_all`."""
    labels = true_to(members.enrolled, data) if own else data.labels

    def see(correct: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        right = jnp.argmax(logits, -1) == piece(labels, start, logits.shape[1])
        return jax.lax.dynamic_update_slice(correct, right, (0, start))

    nothing = jnp.zeros((len(members.size), labels.shape[-1]), bool)
    return see_all(recipe, members, weights, data, see, nothing, own=own)
