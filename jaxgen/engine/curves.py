"""Measures of members: losses and accuracies after each epoch; margins, norms and calibration at the end.

Axes: m members, n training examples, t test examples, s examples of a piece, c classes.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.learner import final_variables
from jaxgen.engine.member_inputs import (
    gather_images,
    network_inputs,
    normalize,
    training_inputs,
    training_labels,
    true_labels,
    validation_mask,
)
from jaxgen.engine.members import Curves, Data, EnsembleConfig, Examples, Member, MemberConfig, TrainState, map_members
from jaxgen.scores.metrics import expected_calibration_error, margins
from jaxgen.training.losses import cross_entropy

# Quantiles of training margins.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def scan_batches(
    config: EnsembleConfig,
    members: Member,
    variables: Variables,
    data: Examples,
    accumulate: Callable[[Any, jax.Array, jax.Array, jax.Array], Any],
    init: Any,
    *,
    training_examples: bool = False,
) -> Any:
    """Runs all members on all examples, `eval_batch_size` at a time, and accumulates over their logits.

    Args:
      config: of all members.
      members: m of them.
      variables: to predict with.
      data: the examples.
      accumulate: ``(carry, start, fresh, logits) -> carry`` for examples start, start + 1, ..., with logits
        ``[m, s, c]``. The last batch overlaps the one before so that it is full; `fresh`, bool ``[s]``, is False for
        examples seen before.
      init: initial carry.
      training_examples: whether to run each member on its own training examples, with `data` the training data.

    Returns:
      The last carry.
    """
    total, member_config = config.num_examples if training_examples else len(data.labels), members.config
    size = min(config.eval_batch_size, total)
    differs = training_examples and (member_config.rows is not None or config.input_transform)
    shared = member_config.version is None and not differs

    def predict(member: Member, variables: Variables, chosen: jax.Array, inputs: jax.Array | None) -> jax.Array:
        if inputs is None and training_examples:
            inputs = normalize(config, training_inputs(config, member.config, data, chosen))
        elif inputs is None:
            inputs = network_inputs(config, gather_images(member.config, data, chosen))
        return config.learner.predict(variables, inputs)

    def scan_piece(i: jax.Array, carry: Any) -> Any:
        start = jnp.minimum(i * size, total - size)
        chosen = start + jnp.arange(size)
        # Images that all members share are scaled and normalized once, and have no member axis.
        inputs = network_inputs(config, jax.lax.dynamic_slice_in_dim(data.images, start, size)) if shared else None
        logits = map_members(predict, (0, 0, None, None))(members, variables, chosen, inputs)
        return accumulate(carry, start, chosen >= i * size, logits)

    return jax.lax.fori_loop(0, -(-total // size), scan_piece, init)


def slice_labels(labels: jax.Array, start: jax.Array, size: int) -> jax.Array:
    """Labels start, start + 1, ... of ``[n]`` or ``[m, n]``, as ``[1 or m, s]``."""
    return jax.lax.dynamic_slice_in_dim(jnp.atleast_2d(labels), start, size, axis=1)


def measure_epoch(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> dict[str, jax.Array]:
    """One point of every curve by name, ``[m]``: the fields of `Curves`, and what the experiment adds to them.

    Raises:
      ValueError: if the experiment's hook measures what `Curves` has.
    """
    variables = final_variables(train_state.learner)
    curves = standard_curves(config, members, variables, data)._asdict()
    more = config.epoch_metrics.after_epoch
    added = more(config, members, variables, data) if more else {}
    if taken := sorted(curves.keys() & added.keys()):
        raise ValueError(f"EpochMetrics.after_epoch: {', '.join(taken)}: these names are of the engine's own curves")
    return curves | added


def start_curves(config: EnsembleConfig, members: Member, train_state: TrainState, data: Data) -> dict[str, jax.Array]:
    """Curves of members that have not been trained, by name: NaN ``[m, e]``."""
    points = jax.eval_shape(functools.partial(measure_epoch, config), members, train_state, data)
    return {name: jnp.full((*point.shape, config.epochs), jnp.nan) for name, point in points.items()}


def standard_curves(config: EnsembleConfig, members: Member, variables: Variables, data: Data) -> Curves:
    """One point of every curve that the engine measures, as fields ``[m]``."""
    number = len(members.size)
    given, truth = training_labels(members.config, data.train), true_labels(members.config, data.train)
    learnt = training_mask(config, members)

    def add_train(sums: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        size = logits.shape[1]
        true, labels = slice_labels(truth, start, size), slice_labels(given, start, size)
        counted = (fresh[None] & slice_labels(learnt, start, size)).astype(jnp.float32)
        predicted = jnp.argmax(logits, -1)
        clean = counted * (true == labels)
        flipped = counted * (true != labels)
        right = (predicted == labels).astype(jnp.float32)
        losses = losses_of(logits, labels)
        columns = (counted * losses, clean * right, flipped * right, counted * (predicted == true), clean, flipped)
        return sums + jnp.stack([jnp.sum(column, axis=1) for column in columns])

    def add_test(sums: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        true = slice_labels(data.test.labels, start, logits.shape[1])
        losses = jnp.where(fresh[None], losses_of(logits, true), 0)
        right = fresh[None] & (jnp.argmax(logits, -1) == true)
        return sums + jnp.stack([jnp.sum(losses, axis=1), jnp.sum(right, axis=1)])

    loss, clean_right, flipped_right, true_right, clean, flipped = scan_batches(
        config, members, variables, data.train, add_train, jnp.zeros((6, number)), training_examples=True
    )
    tested = jnp.full((2, number), jnp.nan)
    if data.test is not None:
        zeros = jnp.zeros((2, number))
        tested = scan_batches(config, members, variables, data.test, add_test, zeros) / len(data.test.labels)
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


def training_mask(config: EnsembleConfig, members: Member) -> jax.Array:
    """Whether members train on examples, those for validation excluded: bool ``[m, n]``."""
    trained_on = members.config.trained_on
    return trained_on & ~jax.vmap(validation_mask)(members) if config.validation_share else trained_on


def measure_end(config: EnsembleConfig, members: Member, variables: Variables, data: Data) -> dict[str, jax.Array]:
    """Measures of trained members by name, each with a leading axis m.

    Returns:
      ``weight_norm``, ``distance_from_init``: Euclidean, over all parameters. ``margin_quantiles [m, 5]``: of the
      margins on training labels, at `QUANTILES`. With test data ``predictions [m, t]``, ``ece``, the expected
      calibration error on them, and what `EpochMetrics.at_end` gives. With labels of its own ``changed``, packed: which
      of them are not the true ones. With evaluation sets ``probe_predictions [m, v, p]``: of each example in each
      version, whatever version the member is trained on.
    """
    measures = {"weight_norm": norms(variables.params), "distance_from_init": distances(config, members, variables)}
    number, given = len(members.size), training_labels(members.config, data.train)

    def write_margins(carry: jax.Array, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> jax.Array:
        labels = jnp.broadcast_to(slice_labels(given, start, logits.shape[1]), logits.shape[:2])
        return jax.lax.dynamic_update_slice(carry, jax.vmap(margins)(logits, labels), (0, start))

    init = jnp.zeros((number, config.num_examples))
    margin = scan_batches(config, members, variables, data.train, write_margins, init, training_examples=True)
    learnt = jnp.where(training_mask(config, members), margin, jnp.nan)
    measures["margin_quantiles"] = jnp.nanquantile(learnt, jnp.array(QUANTILES), axis=1).T
    if members.config.labels is not None:
        measures["changed"] = jnp.packbits(given != jnp.atleast_2d(true_labels(members.config, data.train)), axis=1)
    if data.eval_sets is not None:
        measures["probe_predictions"] = predict_versions(config, members, variables, data.eval_sets)
    if data.test is None:
        return measures
    predictions, confidence = predict_all(config, members, variables, data.test)
    right = predictions == data.test.labels[None]
    measures["ece"] = jax.vmap(expected_calibration_error)(confidence, right)
    measures["predictions"] = predictions.astype(class_type(config))
    if config.epoch_metrics.at_end:
        measures |= config.epoch_metrics.at_end(config, members, variables, data.test)
    return measures


def predict_all(
    config: EnsembleConfig, members: Member, variables: Variables, data: Examples
) -> tuple[jax.Array, jax.Array]:
    """Every member's most likely class of every example, and its probability: ``[m, n]`` both."""

    def write(carry: tuple, start: jax.Array, fresh: jax.Array, logits: jax.Array) -> tuple:
        now = jnp.argmax(logits, -1), jnp.max(jax.nn.softmax(logits), -1)
        return tuple(jax.lax.dynamic_update_slice(old, new, (0, start)) for old, new in zip(carry, now, strict=True))

    shape = len(members.size), len(data.labels)
    return scan_batches(config, members, variables, data, write, (jnp.zeros(shape, jnp.int32), jnp.zeros(shape)))


def class_type(config: EnsembleConfig) -> Any:
    """The smallest type that a class fits in."""
    return jnp.uint8 if config.num_classes <= 256 else jnp.uint16


def predict_versions(config: EnsembleConfig, members: Member, variables: Variables, data: Examples) -> jax.Array:
    """Every member's most likely class of every example in each of v versions, ``[m, v, p]``."""

    def predict(version: jax.Array) -> jax.Array:
        return predict_version(config, members, variables, data, version).astype(class_type(config))

    versions = jnp.arange(len(data.images) // len(data.labels), dtype=jnp.int32)
    return jnp.moveaxis(jax.lax.map(predict, versions), 0, 1)


def predict_version(
    config: EnsembleConfig, members: Member, variables: Variables, data: Examples, version: int | jax.Array
) -> jax.Array:
    """Every member's most likely class of every example in one version, whatever its own version is: ``[m, n]``."""
    versions = jnp.full(len(members.size), version, jnp.int32)
    elsewhere = members._replace(config=members.config._replace(version=versions))
    return predict_all(config, elsewhere, variables, data)[0]


def distances(config: EnsembleConfig, members: Member, variables: Variables) -> jax.Array:
    """The Euclidean distance of each member's parameters from its initial ones, ``[m]``."""

    def initial(member_config: MemberConfig) -> Any:
        return config.learner.init(member_config.key, member_config.hparams, *member_config.variables).variables.params

    # Sequentially, as in `start_members`.
    return norms(jax.tree.map(jnp.subtract, variables.params, jax.lax.map(initial, members.config)))


def norms(params: Any) -> jax.Array:
    """Euclidean norm ``[m]`` over all leaves ``[m, ...]``."""
    squares = (jnp.sum(leaf * leaf, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(params))
    return jnp.sqrt(sum(squares))
