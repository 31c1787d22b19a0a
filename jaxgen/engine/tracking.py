"""Per-example statistics: of trained-on examples at their visits, of held-out ones at evaluations.

A member has one record of each example: of its visits if it trains on it, of its evaluations if not. An observation of
an example is one visit in training, or one evaluation between epochs or at the end. Axes: m members, n examples, a
columns of a record.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.curves import scan_batches, slice_labels, training_mask
from jaxgen.engine.learner import final_variables
from jaxgen.engine.member_inputs import normalize, training_inputs, training_labels, true_labels
from jaxgen.engine.members import Data, EnsembleConfig, Member, TrainState, map_members
from jaxgen.scores.example_stats import (
    CONFIDENCE,
    DEVIATION_STEPS,
    ERROR,
    ERROR_STEPS,
    FIRST,
    FORGOTTEN,
    LOSS,
    MARGIN,
    NUM_COLUMNS,
    PROBABILITY_STEPS,
    RIGHT,
    SQUARE,
    in_half,
    in_steps,
    update_stats,
)
from jaxgen.training.losses import cross_entropy
from jaxgen.types import TRACKED

# Examples whose own gradients a member computes together.
GRADIENTS_AT_ONCE = 4


def track_epoch(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> TrainState:
    """Evaluates held-out examples and gradient norms at the end of an epoch, where `config.track` says so."""
    track, ended = config.track, train_state.epoch + 1
    live = ~train_state.done
    variables = final_variables(train_state.learner)
    if track.examined:
        due = live & jnp.any(ended[:, None] == jnp.asarray(track.examined)[None], axis=1)

        def evaluate(records: jax.Array) -> jax.Array:
            early = ended == track.early_examination
            accumulate = observe_heldout(config, members, data, ended, early, due)
            return scan_batches(config, members, variables, data.train, accumulate, records, training_examples=True)

        # Members admitted at different times end different epochs: all are evaluated, and only those due are recorded.
        records = jax.lax.cond(jnp.any(due), evaluate, lambda same: same, train_state.records)
        train_state = train_state._replace(records=records)
    if track.gradients:
        takes = live & (ended == track.early)

        def take(records: jax.Array) -> jax.Array:
            norms = gradient_norms(config, members, variables, data)
            return records.at[:, :, -1].set(jnp.where(takes[:, None], norms, records[:, :, -1]))

        records = jax.lax.cond(jnp.any(takes), take, lambda same: same, train_state.records)
        train_state = train_state._replace(records=records)
    return train_state


def observe_heldout(
    config: EnsembleConfig, members: Member, data: Data, epoch: jax.Array, early: jax.Array, counted: jax.Array
) -> Any:
    """Makes the `accumulate` of `scan_batches` that adds an evaluation of held-out examples to records ``[m, n, a]``.

    Args:
      config: of all members.
      members: m of them.
      data: the data of all members.
      epoch: int ``[m]``: the epoch of the curve that it belongs to.
      early: bool ``[m]``: whether EL2N is taken from it.
      counted: bool ``[m]``: whose records it is added to.
    """
    track, labels = config.track, training_labels(members.config, data.train)
    observations = 1 + jnp.sum(jnp.asarray(track.examined, jnp.int32)[None] < epoch[:, None], axis=1)

    def observe(rows: jax.Array, logits: jax.Array, labels: jax.Array, *now: jax.Array) -> jax.Array:
        observation, epoch, early = now
        return update_stats(track, rows, logits, labels, observation=observation, epoch=epoch, early=early)

    def accumulate(records: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        size = logits.shape[1]
        given = jnp.broadcast_to(slice_labels(labels, start, size), logits.shape[:2])
        rows = jax.lax.dynamic_slice_in_dim(records, start, size, axis=1)
        observed = jax.vmap(observe)(rows, logits, given, observations, epoch, early)
        heldout = ~slice_labels(members.config.trained_on, start, size)
        rows = jnp.where((heldout & fresh[None] & counted[:, None])[..., None], observed, rows)
        return jax.lax.dynamic_update_slice_in_dim(records, rows, start, axis=1)

    return accumulate


def evaluate_tracked(
    config: EnsembleConfig, members: Member, train_state: TrainState, variables: Variables, data: Data
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Correct predictions at the end, bool ``[m, n]``, and the statistics to store, by name.

    A member that stopped early is evaluated with the variables that it keeps; that is the last observation of its
    held-out examples, and the last point of their curves.
    """
    track, number, n = config.track, len(members.size), config.num_examples
    labels, given = true_labels(members.config, data.train), training_labels(members.config, data.train)
    last = jnp.full(number, config.epochs)
    at_end = jnp.full(number, track.early_examination == 0)
    observe_end = observe_heldout(config, members, data, last, at_end, jnp.ones(number, bool))

    def accumulate(
        carry: dict[str, jax.Array], start: jax.Array, fresh: jax.Array, logits: jax.Array
    ) -> dict[str, jax.Array]:
        size = logits.shape[1]
        heldout = ~slice_labels(members.config.trained_on, start, size)
        probabilities = jnp.where(heldout[..., None], jax.nn.softmax(logits), 0)
        labels_given = jnp.broadcast_to(slice_labels(given, start, size), logits.shape[:2])
        new = {
            "correct": jnp.argmax(logits, -1) == slice_labels(labels, start, size),
            "final": jnp.take_along_axis(probabilities, labels_given[..., None], axis=-1)[..., 0].astype(jnp.float16),
        }
        if track.probabilities:
            new["probabilities"] = in_steps(probabilities, PROBABILITY_STEPS)
        written = {name: jax.lax.dynamic_update_slice_in_dim(carry[name], new[name], start, axis=1) for name in new}
        return {**written, "records": observe_end(carry["records"], start, fresh, logits)}

    init = {
        "correct": jnp.zeros((number, n), bool),
        "final": jnp.zeros((number, n), jnp.float16),
        "records": train_state.records,
    }
    if track.probabilities:
        init["probabilities"] = jnp.zeros((number, n, config.num_classes), jnp.uint8)
    scanned = scan_batches(config, members, variables, data.train, accumulate, init, training_examples=True)
    correct, records = scanned.pop("correct"), scanned.pop("records")
    kept = {**scanned, **summarize_records(config, members, train_state, records)}
    return correct, {f"{TRACKED}{name}": array for name, array in kept.items()}


def summarize_records(
    config: EnsembleConfig, members: Member, train_state: TrainState, records: jax.Array
) -> dict[str, jax.Array]:
    """The statistics to store of records ``[m, n, a]``: means over observations, ``[m, n]``; `loss` is a sum.

    Others: `looks` ``[m, 2]``, the numbers of visits of a trained-on and of evaluations of a held-out example; `curve`;
    `design`.
    """
    track = config.track
    evaluations = 1 + jnp.sum(jnp.asarray(track.examined, jnp.int32)[None] <= train_state.epoch[:, None], axis=1)
    looks = jnp.stack([train_state.epoch, evaluations], axis=1)
    learnt = training_mask(config, members)
    times = jnp.maximum(jnp.where(learnt, looks[:, :1], looks[:, 1:]), 1)
    mean = records[:, :, CONFIDENCE] / times
    deviation = jnp.sqrt(jnp.maximum(records[:, :, SQUARE] / times - mean**2, 0))
    count = jnp.uint8 if config.epochs < 256 else jnp.uint16
    design = jnp.asarray((track.early, *track.examined, 0, *track.curve), jnp.int32)
    kept = {
        "loss": in_half(records[:, :, LOSS]),
        "margin": in_half(records[:, :, MARGIN] / times),
        "confidence": in_half(mean),
        "variability": in_steps(deviation, DEVIATION_STEPS),
        "error": in_steps(records[:, :, ERROR], ERROR_STEPS),
        "right": records[:, :, RIGHT].astype(count),
        "forgotten": records[:, :, FORGOTTEN].astype(count),
        "first": records[:, :, FIRST].astype(count),
        "looks": looks.astype(jnp.int32),
        "design": jnp.broadcast_to(design[None], (len(looks), len(design))),
    }
    if track.curve:
        kept["curve"] = jnp.nan_to_num(records[:, :, NUM_COLUMNS : NUM_COLUMNS + len(track.curve)]).astype(jnp.uint8)
    if track.gradients:
        kept["gradient"] = in_half(records[:, :, -1])
    return kept


def gradient_norms(config: EnsembleConfig, members: Member, variables: Variables, data: Data) -> jax.Array:
    """The Euclidean norm of each example's own gradient by all parameters, ``[m, n]``: GraNd of Paul et al. 2021.

    Exact: the loss of each example is differentiated in evaluation mode, without dropout and augmentation, with running
    batch statistics.
    """

    def member_norms(member: Member, variables: Variables) -> jax.Array:
        given = training_labels(member.config, data.train)

        def norm(example: jax.Array) -> jax.Array:
            inputs = normalize(config, training_inputs(config, member.config, data.train, example[None]))

            def loss(params: Any) -> jax.Array:
                logits = config.learner.predict(variables._replace(params=params), inputs)
                return cross_entropy(logits, given[example][None])[0]

            gradient = jax.grad(loss)(variables.params)
            return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

        return jax.lax.map(norm, jnp.arange(config.num_examples), batch_size=GRADIENTS_AT_ONCE)

    return map_members(member_norms)(members, variables)
