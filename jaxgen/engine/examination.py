"""What trained members get right of all examples."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.batch import Variables
from jaxgen.engine.curves import measure_end, piece, scan_batches
from jaxgen.engine.member_inputs import chosen_variables, true_to, validation_mask
from jaxgen.engine.members import Data, EnsembleConfig, Examples, Member, TrainState
from jaxgen.engine.tracking import examine_tracked
from jaxgen.types import Outcome

# A last epoch whose mean training loss is this many times a blind guess's (log c) has diverged, though still finite.
LOSS_LIMIT = 10.0


def finish_members(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> Outcome:
    """What each member gets right of all training and test examples, and whether its training stayed finite."""
    weights = chosen_variables(train_state)
    measures = {}
    if config.track:
        correct, measures = examine_tracked(config, members, train_state, weights, data)
    else:
        correct = correct_predictions(config, members, weights, data.train, own=True)
    test_correct = jnp.zeros((len(members.size), 0), bool)
    if data.test is not None:
        test_correct = correct_predictions(config, members, weights, data.test)
    num_steps = -(-members.size // config.batch_size)
    trained = jnp.arange(config.epochs)[None] < train_state.epoch[:, None]
    loss_curve = jnp.where(trained, train_state.loss_sums / num_steps[:, None], jnp.nan)
    kept = train_state.epoch if train_state.best is None else train_state.best.epoch
    last = jnp.take_along_axis(loss_curve, jnp.maximum(kept - 1, 0)[:, None], axis=1)[:, 0]
    finite = last < LOSS_LIMIT * np.log(config.num_classes)
    for leaf in jax.tree.leaves(weights):
        finite &= jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    pack = lambda flags: jnp.packbits(flags, axis=1)  # noqa: E731
    validation = jax.vmap(validation_mask)(members) if config.validation_share else correct[:, :0]
    packed = pack(members.config.trained_on), pack(correct), pack(test_correct)
    if config.keeps:
        number, held = len(members.size), ({name: weights.params[name] for name in config.keeps}, weights.stats)
        leaves = [leaf.reshape(number, -1) for leaf in jax.tree.leaves(held)]
        measures["params"] = jnp.concatenate(leaves, axis=1)
    if config.epoch_metrics:
        curves = {f"{name}_curve": curve for name, curve in train_state.curves._asdict().items()}
        measures |= {**curves, **measure_end(config, members, weights, data)}
    return Outcome(*packed, loss_curve, kept, finite, pack(validation), measures)


def correct_predictions(
    config: EnsembleConfig, members: Member, weights: Variables, data: Examples, *, own: bool = False
) -> jax.Array:
    """Whether each member's most likely class is the true label: bool ``[m, n]``; `own` as in `scan_batches`."""
    labels = true_to(members.config, data) if own else data.labels

    def accumulate(correct: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        right = jnp.argmax(logits, -1) == piece(labels, start, logits.shape[1])
        return jax.lax.dynamic_update_slice(correct, right, (0, start))

    nothing = jnp.zeros((len(members.size), labels.shape[-1]), bool)
    return scan_batches(config, members, weights, data, accumulate, nothing, own=own)
