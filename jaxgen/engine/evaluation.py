"""Evaluation of trained members on all training and test examples."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.batch import Variables
from jaxgen.engine.curves import measure_end, scan_batches, slice_labels
from jaxgen.engine.flat_variables import flatten_variables
from jaxgen.engine.member_inputs import evaluation_variables, true_labels, validation_mask
from jaxgen.engine.members import Data, EnsembleConfig, Examples, Member, TrainState
from jaxgen.engine.tracking import evaluate_tracked
from jaxgen.types import Outcome

# A last epoch whose mean training loss is this many times a blind guess's (log c) has diverged, though still finite.
LOSS_LIMIT = 10.0


def finish_members(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> Outcome:
    """The outcome of each member: correct predictions of all examples, curves, whether its training stayed finite.

    Where examples are tracked, `jaxgen.engine.tracking.evaluate_tracked` predicts the training examples and takes their
    statistics in one pass; otherwise `correct_predictions` does.
    """
    variables = evaluation_variables(train_state)
    measures = {}
    if config.track:
        correct, measures = evaluate_tracked(config, members, train_state, variables, data)
    else:
        correct = correct_predictions(config, members, variables, data.train, training_examples=True)
    test_correct = jnp.zeros((len(members.size), 0), bool)
    if data.test is not None:
        test_correct = correct_predictions(config, members, variables, data.test)
    num_steps = -(-members.size // config.batch_size)
    trained = jnp.arange(config.epochs)[None] < train_state.epoch[:, None]
    loss_curve = jnp.where(trained, train_state.loss_sums / num_steps[:, None], jnp.nan)
    epochs = train_state.epoch if train_state.best is None else train_state.best.epoch
    last = jnp.take_along_axis(loss_curve, jnp.maximum(epochs - 1, 0)[:, None], axis=1)[:, 0]
    finite = last < (np.inf if config.bounded_loss else LOSS_LIMIT * np.log(config.num_classes))
    for leaf in jax.tree.leaves(variables):
        finite &= jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    validation = jax.vmap(validation_mask)(members) if config.validation_share else correct[:, :0]
    flags = (members.config.trained_on, correct, test_correct, validation)
    trained_on, correct, test_correct, validation = (jnp.packbits(flag, axis=1) for flag in flags)
    if config.keeps:
        kept = {name: variables.params[name] for name in config.keeps}
        measures["params"] = flatten_variables(variables._replace(params=kept))
    if config.epoch_metrics:
        curves = {f"{name}_curve": curve for name, curve in train_state.curves.items()}
        measures |= {**curves, **measure_end(config, members, variables, data)}
    return Outcome(trained_on, correct, test_correct, loss_curve, epochs, finite, validation, measures)


def correct_predictions(
    config: EnsembleConfig, members: Member, variables: Variables, data: Examples, *, training_examples: bool = False
) -> jax.Array:
    """Whether members predict the true labels: bool ``[m, n]``; `training_examples` as in `scan_batches`."""
    labels = true_labels(members.config, data) if training_examples else data.labels

    def accumulate(correct: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        right = jnp.argmax(logits, -1) == slice_labels(labels, start, logits.shape[1])
        return jax.lax.dynamic_update_slice(correct, right, (0, start))

    init = jnp.zeros((len(members.size), labels.shape[-1]), bool)
    return scan_batches(config, members, variables, data, accumulate, init, training_examples=training_examples)
