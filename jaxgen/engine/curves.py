"""What is measured of members: after every epoch, how well they fit and generalize; in the end, how surely."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.learner import final_variables
from jaxgen.engine.member_inputs import as_inputs, given_to, learns_from, seen_by, true_to, validation_mask
from jaxgen.engine.members import Curves, Data, EnsembleConfig, Examples, Member, TrainState, map_members
from jaxgen.scores.metrics import expected_calibration_error, margins
from jaxgen.training.losses import cross_entropy

# Of the training margins.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def scan_batches(
    config: EnsembleConfig,
    members: Member,
    weights: Variables,
    data: Examples,
    accumulate: Callable[[Any, jax.Array, jax.Array, jax.Array], Any],
    found: Any,
    *,
    own: bool = False,
) -> Any:
    """Shows all members all examples, `eval_batch_size` at a time.

    Args:
      config: of all members.
      members: who they are.
      weights: what they predict with.
      data: the examples.
      accumulate: ``(found, start, fresh, logits) -> found`` for examples start, start + 1, ...: `fresh`, bool ``[s]``,
        is false for those that were shown before, because the last piece starts early enough to be whole; logits
        ``[m, s, c]``.
      found: what `accumulate` begins with.
      own: whether the examples are those that members learn from, each perhaps others, and `data` the training data.
    """
    total, who = config.num_examples if own else len(data.labels), members.config
    size = min(config.eval_batch_size, total)
    alike = who.version is None and not (own and (who.rows is not None or config.show))

    def predict(member: Member, weights: Variables, chosen: jax.Array, inputs: jax.Array | None) -> jax.Array:
        if inputs is None and own:
            inputs = learns_from(config, member.config, data, chosen)
        elif inputs is None:
            inputs = as_inputs(config, seen_by(member.config, data, chosen))
        return config.learner.predict(weights, inputs)

    def some(i: jax.Array, found: Any) -> Any:
        start = jnp.minimum(i * size, total - size)
        chosen = start + jnp.arange(size)
        # Images that all members see alike are scaled once, and are no batch of their own for each.
        inputs = as_inputs(config, jax.lax.dynamic_slice_in_dim(data.images, start, size)) if alike else None
        logits = map_members(predict, (0, 0, None, None))(members, weights, chosen, inputs)
        return accumulate(found, start, chosen >= i * size, logits)

    return jax.lax.fori_loop(0, -(-total // size), some, found)


def piece(labels: jax.Array, start: jax.Array, size: int) -> jax.Array:
    """Labels start, start + 1, ... of ``[n]`` or ``[m, n]``, as ``[1 or m, s]``."""
    return jax.lax.dynamic_slice_in_dim(jnp.atleast_2d(labels), start, size, axis=1)


def measure_epoch(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> Curves:
    """How members do now, as fields ``[m]``."""
    weights, number = final_variables(train_state.learner), len(members.size)
    given, truth = given_to(members.config, data.train), true_to(members.config, data.train)
    learnt = learnt_examples(config, members)

    def see_train(sums: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        size = logits.shape[1]
        true, told = piece(truth, start, size), piece(given, start, size)
        counted = (fresh[None] & piece(learnt, start, size)).astype(jnp.float32)
        chosen = jnp.argmax(logits, -1)
        clean = counted * (true == told)
        flipped = counted * (true != told)
        right = (chosen == told).astype(jnp.float32)
        losses = losses_of(logits, told)
        columns = (counted * losses, clean * right, flipped * right, counted * (chosen == true), clean, flipped)
        return sums + jnp.stack([jnp.sum(column, axis=1) for column in columns])

    def see_test(sums: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        true = piece(data.test.labels, start, logits.shape[1])
        losses = jnp.where(fresh[None], losses_of(logits, true), 0)
        right = fresh[None] & (jnp.argmax(logits, -1) == true)
        return sums + jnp.stack([jnp.sum(losses, axis=1), jnp.sum(right, axis=1)])

    loss, clean_right, flipped_right, true_right, clean, flipped = scan_batches(
        config, members, weights, data.train, see_train, jnp.zeros((6, number)), own=True
    )
    tested = jnp.full((2, number), jnp.nan)
    if data.test is not None:
        zeros = jnp.zeros((2, number))
        tested = scan_batches(config, members, weights, data.test, see_test, zeros) / len(data.test.labels)
    return Curves(
        loss / members.size,
        (clean_right + flipped_right) / members.size,
        true_right / members.size,
        clean_right / clean,
        flipped_right / flipped,
        *tested,
    )


def losses_of(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropies ``[m, s]`` of logits ``[m, s, c]`` on labels ``[1 or m, s]``."""
    return jax.vmap(cross_entropy)(logits, jnp.broadcast_to(labels, logits.shape[:2]))


def learnt_examples(config: EnsembleConfig, members: Member) -> jax.Array:
    """Which examples members train on, and are not only stopped by: bool ``[m, n]``."""
    trained_on = members.config.trained_on
    return trained_on & ~jax.vmap(validation_mask)(members) if config.validation_share else trained_on


def measure_end(config: EnsembleConfig, members: Member, weights: Variables, data: Data) -> dict[str, jax.Array]:
    """What is told of members that are done, a row each.

    Returns:
      ``weight_norm``, ``distance_from_init``: Euclidean, over all parameters. ``margin_quantiles [m, 5]``: of the
      margins on the labels given, at `QUANTILES`. With test data ``predictions [m, t]``, ``ece``: expected calibration
      error on them, and ``corrupted_accuracy [m, k]`` on the recipe's corrupted versions, NaN for a member that sees
      another version than 0. With labels of its own ``changed``, packed: which of them are not the true ones. With
      probes ``probe_predictions [m, v, p]``: of each in each version, whatever version the member sees.
    """
    found = {"weight_norm": norms(weights.params), "distance_from_init": distances(config, members, weights)}
    number, given = len(members.size), given_to(members.config, data.train)

    def see_train(seen: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        told = jnp.broadcast_to(piece(given, start, logits.shape[1]), logits.shape[:2])
        return jax.lax.dynamic_update_slice(seen, jax.vmap(margins)(logits, told), (0, start))

    nothing = jnp.zeros((number, config.num_examples))
    margin = scan_batches(config, members, weights, data.train, see_train, nothing, own=True)
    learnt = jnp.where(learnt_examples(config, members), margin, jnp.nan)
    found["margin_quantiles"] = jnp.nanquantile(learnt, jnp.array(QUANTILES), axis=1).T
    if members.config.labels is not None:
        found["changed"] = jnp.packbits(given != jnp.atleast_2d(true_to(members.config, data.train)), axis=1)
    if data.probe is not None:
        found["probe_predictions"] = probe_all(config, members, weights, data.probe)
    if data.test is None:
        return found
    predictions, confidence = predict_all(config, members, weights, data.test)
    right = predictions == data.test.labels[None]
    found["ece"] = jax.vmap(expected_calibration_error)(confidence, right)
    found["predictions"] = predictions.astype(class_type(config))
    if config.epoch_metrics.corrupted:
        found["corrupted_accuracy"] = corrupted_accuracies(config, members, weights, data.test)
    return found


def predict_all(
    config: EnsembleConfig, members: Member, weights: Variables, data: Examples
) -> tuple[jax.Array, jax.Array]:
    """Every member's most likely class of every example, and its probability: ``[m, n]`` both."""

    def accumulate(seen: tuple, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> tuple:
        now = jnp.argmax(logits, -1), jnp.max(jax.nn.softmax(logits), -1)
        return tuple(jax.lax.dynamic_update_slice(old, new, (0, start)) for old, new in zip(seen, now, strict=True))

    shape = len(members.size), len(data.labels)
    return scan_batches(config, members, weights, data, accumulate, (jnp.zeros(shape, jnp.int32), jnp.zeros(shape)))


def class_type(config: EnsembleConfig) -> Any:
    """The smallest type that a class fits in."""
    return jnp.uint8 if config.num_classes <= 256 else jnp.uint16


def probe_all(config: EnsembleConfig, members: Member, weights: Variables, probe: Examples) -> jax.Array:
    """Every member's most likely class of every probe in every version, ``[m, v, p]``."""

    def look(version: jax.Array) -> jax.Array:
        return predict_version(config, members, weights, probe, version).astype(class_type(config))

    versions = jnp.arange(len(probe.images) // len(probe.labels), dtype=jnp.int32)
    return jnp.moveaxis(jax.lax.map(look, versions), 0, 1)


def corrupted_accuracies(config: EnsembleConfig, members: Member, weights: Variables, test: Examples) -> jax.Array:
    """Accuracy on each of the watch's corrupted versions, ``[m, k]``."""
    own = members.config.version
    accuracies = []
    for version in config.epoch_metrics.corrupted:
        predictions = predict_version(config, members, weights, test, version)
        accuracies.append(jnp.mean(predictions == test.labels[None], axis=1))
    found = jnp.stack(accuracies, axis=1)
    return found if own is None else jnp.where(own[:, None] == 0, found, jnp.nan)


def predict_version(
    config: EnsembleConfig, members: Member, weights: Variables, data: Examples, version: int | jax.Array
) -> jax.Array:
    """Every member's most likely class of every example in a version, whatever version it sees itself: ``[m, n]``."""
    shown = jnp.full(len(members.size), version, jnp.int32)
    elsewhere = members._replace(config=members.config._replace(version=shown))
    return predict_all(config, elsewhere, weights, data)[0]


def distances(config: EnsembleConfig, members: Member, weights: Variables) -> jax.Array:
    """How far each member has come from its first parameters, ``[m]``."""
    # One after another, as when they were drawn.
    first = jax.lax.map(
        lambda who: config.learner.init(who.key, who.hparams, who.params).weights.params, members.config
    )
    return norms(jax.tree.map(jnp.subtract, weights.params, first))


def norms(params: Any) -> jax.Array:
    """Euclidean norm ``[m]`` over all leaves ``[m, ...]``."""
    squares = (jnp.sum(leaf * leaf, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(params))
    return jnp.sqrt(sum(squares))
