"""Tracking single examples: held-out ones between epochs and in the end, and what is kept of it all, small.

What a member is trained on and what it holds out are different examples, so one row an example does for both: visits in
training of the one kind, examinations of the other.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.curves import learnt_examples, piece, scan_batches
from jaxgen.engine.learner import final_variables
from jaxgen.engine.member_inputs import given_to, learns_from, true_to
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
    """Examines held-out examples where the epoch that ends now is one to do so after, before it is counted."""
    track, ended = config.track, train_state.epoch + 1
    live = ~train_state.done
    if track.examined:
        examines = live & jnp.any(ended[:, None] == jnp.asarray(track.examined)[None], axis=1)

        def examine(records: jax.Array) -> jax.Array:
            weights = final_variables(train_state.learner)
            early = ended == track.early_examination
            accumulate = note_heldout(config, members, data, ended, early, examines)
            return scan_batches(config, members, weights, data.train, accumulate, records, own=True)

        # Members that were seated at different times end different epochs: all look, and those that should take note.
        train_state = train_state._replace(
            records=jax.lax.cond(jnp.any(examines), examine, lambda x: x, train_state.records)
        )
    if track.gradients:
        takes = live & (ended == track.early)

        def take(records: jax.Array) -> jax.Array:
            norms = gradient_norms(config, members, final_variables(train_state.learner), data)
            return records.at[:, :, -1].set(jnp.where(takes[:, None], norms, records[:, :, -1]))

        train_state = train_state._replace(records=jax.lax.cond(jnp.any(takes), take, lambda x: x, train_state.records))
    return train_state


def note_heldout(
    config: EnsembleConfig, members: Member, data: Data, epoch: jax.Array, early: jax.Array, counted: jax.Array
) -> Any:
    """What `scan_batches` does with records ``[m, n, a]`` in an examination of held-out examples.

    Args:
      config: of all members.
      members: who they are.
      data: theirs.
      epoch: int ``[m]``: that of the curve.
      early: bool ``[m]``: whether EL2N is taken now.
      counted: bool ``[m]``: whose examination it is.
    """
    track, labels = config.track, given_to(members.config, data.train)
    looks = 1 + jnp.sum(jnp.asarray(track.examined, jnp.int32)[None] < epoch[:, None], axis=1)

    def note_one(rows: jax.Array, logits: jax.Array, labels: jax.Array, *now: jax.Array) -> jax.Array:
        look, epoch, early = now
        return update_stats(track, rows, logits, labels, observation=look, epoch=epoch, early=early)

    def accumulate(records: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        size = logits.shape[1]
        told = jnp.broadcast_to(piece(labels, start, size), logits.shape[:2])
        rows = jax.lax.dynamic_slice_in_dim(records, start, size, axis=1)
        noted = jax.vmap(note_one)(rows, logits, told, looks, epoch, early)
        heldout = ~piece(members.config.trained_on, start, size)
        rows = jnp.where((heldout & fresh[None] & counted[:, None])[..., None], noted, rows)
        return jax.lax.dynamic_update_slice_in_dim(records, rows, start, axis=1)

    return accumulate


def examine_tracked(
    config: EnsembleConfig, members: Member, train_state: TrainState, weights: Variables, data: Data
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What members get right in the end, bool ``[m, n]``, and what is kept of the tracking, by name.

    A member that stopped early is examined with the weights that it keeps; that is the last look at its held-out
    examples, and the last point of their curves.
    """
    track, number, n = config.track, len(members.size), config.num_examples
    labels, given = true_to(members.config, data.train), given_to(members.config, data.train)
    last = jnp.full(number, config.epochs)
    note_end = note_heldout(
        config, members, data, last, jnp.full(number, track.early_examination == 0), jnp.ones(number, bool)
    )

    def accumulate(
        found: dict[str, jax.Array], start: jax.Array, fresh: jax.Array, logits: jax.Array
    ) -> dict[str, jax.Array]:
        size = logits.shape[1]
        heldout = ~piece(members.config.trained_on, start, size)
        probabilities = jnp.where(heldout[..., None], jax.nn.softmax(logits), 0)
        told = jnp.broadcast_to(piece(given, start, size), logits.shape[:2])
        now = {
            "correct": jnp.argmax(logits, -1) == piece(labels, start, size),
            "final": jnp.take_along_axis(probabilities, told[..., None], axis=-1)[..., 0].astype(jnp.float16),
        }
        if track.probabilities:
            now["probabilities"] = in_steps(probabilities, PROBABILITY_STEPS)
        written = {name: jax.lax.dynamic_update_slice_in_dim(found[name], now[name], start, axis=1) for name in now}
        return {**written, "records": note_end(found["records"], start, fresh, logits)}

    found = {
        "correct": jnp.zeros((number, n), bool),
        "final": jnp.zeros((number, n), jnp.float16),
        "records": train_state.records,
    }
    if track.probabilities:
        found["probabilities"] = jnp.zeros((number, n, config.num_classes), jnp.uint8)
    found = scan_batches(config, members, weights, data.train, accumulate, found, own=True)
    correct, records = found.pop("correct"), found.pop("records")
    kept = {**found, **summarize_records(config, members, train_state, records)}
    return correct, {f"{TRACKED}{name}": array for name, array in kept.items()}


def summarize_records(
    config: EnsembleConfig, members: Member, train_state: TrainState, records: jax.Array
) -> dict[str, jax.Array]:
    """What is kept of records ``[m, n, a]``: means over looks, ``[m, n]`` all but `curve` and, of a row, `design`.

    `loss` is a sum. `looks` ``[m, 2]``: how many visits a trained-on and examinations a held-out example has had.
    """
    track = config.track
    examined = 1 + jnp.sum(jnp.asarray(track.examined, jnp.int32)[None] <= train_state.epoch[:, None], axis=1)
    looks = jnp.stack([train_state.epoch, examined], axis=1)
    learnt = learnt_examples(config, members)
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


def gradient_norms(config: EnsembleConfig, members: Member, weights: Variables, data: Data) -> jax.Array:
    """The Euclidean norm of each example's own gradient by all parameters, ``[m, n]``: GraNd of Paul et al. 2021.

    Exact, by differentiating the loss of each example as the network is examined: without dropout and augmentation,
    with running batch statistics.
    """

    def one(member: Member, weights: Variables) -> jax.Array:
        given = given_to(member.config, data.train)

        def norm(place: jax.Array) -> jax.Array:
            inputs = learns_from(config, member.config, data.train, place[None])

            def loss(params: Any) -> jax.Array:
                logits = config.learner.predict(weights._replace(params=params), inputs)
                return cross_entropy(logits, given[place][None])[0]

            gradient = jax.grad(loss)(weights.params)
            return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))

        return jax.lax.map(norm, jnp.arange(config.num_examples), batch_size=GRADIENTS_AT_ONCE)

    return map_members(one)(members, weights)
