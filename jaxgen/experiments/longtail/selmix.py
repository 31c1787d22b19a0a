"""SelMix: a sampler that mixes features of pairs of classes, with a pair distribution that is updated periodically.

The gain of a pair (`jaxgen.transforms.selmix`) is estimated on validation examples by the member's linear classifier
on frozen features. Axes: m members, b batch, c classes, f features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch, Variables
from jaxgen.engine.member_inputs import training_inputs, training_labels
from jaxgen.engine.members import EnsembleConfig, Examples, Member, MemberConfig, TrainState, map_members
from jaxgen.experiments.longtail.balance import BALANCED, ValidationSet
from jaxgen.experiments.longtail.class_order import ClassGroups
from jaxgen.keys import Draw, draw_key
from jaxgen.transforms import selmix


class ExamplePairs(NamedTuple):
    """Pairs of examples to mix: indices `first` and `second`, ints ``[b]``, and shares of the first ``[b]``."""

    first: jax.Array
    second: jax.Array
    shares: jax.Array


def pair_logits_of(config: EnsembleConfig, variables: Variables, validation: ValidationSet) -> jax.Array:
    """Logits ``[c, c]`` of the distribution of class pairs, by the classifier's confusion matrix."""
    predictions = jnp.argmax(config.learner.predict(variables, validation.inputs), axis=-1)
    confusion = selmix.confusion_shares(validation.labels, predictions, config.num_classes)
    sums = jnp.zeros((config.num_classes, validation.inputs.shape[1])).at[validation.labels].add(validation.inputs)
    counts = jnp.zeros(config.num_classes).at[validation.labels].add(1)
    head, scale = variables.params["head"], variables.params["scale"]
    gains = selmix.mixing_gains(
        selmix.recall_slopes(confusion),
        sums / jnp.maximum(counts, 1)[:, None],
        head["kernel"] * scale[None],
        head["bias"] * scale,
    )
    return selmix.pair_logits(gains)


def initial_pair_logits(config: EnsembleConfig, member_config: MemberConfig, variables: Variables) -> jax.Array:
    """The initial pair logits ``[c, c]`` of a member."""
    return pair_logits_of(config, variables, member_config.extra.validation)


def update_pair_logits(config: EnsembleConfig, members: Member, train_state: TrainState, step: jax.Array) -> jax.Array:
    """All members' pair logits ``[m, c, c]`` before step `step` of their epochs, recomputed every `selmix.EVERY`."""
    steps_taken = train_state.epoch * -(-members.size // config.batch_size) + step
    due = steps_taken % selmix.EVERY == 0

    def update(logits: jax.Array) -> jax.Array:
        compute = map_members(lambda variables, validation: pair_logits_of(config, variables, validation))
        updated = compute(train_state.learner.variables, members.config.extra.validation)
        return jnp.where(due[:, None, None], updated, logits)

    return jax.lax.cond(jnp.any(due), update, lambda logits: logits, train_state.sampler)


def draw_pairs(key: jax.Array, logits: jax.Array, groups: ClassGroups, size: int) -> ExamplePairs:
    """Draws `size` pairs of examples: classes by `logits`, then examples uniformly within their classes."""
    classes_key, first_key, second_key, share_key = jax.random.split(key, 4)
    num_classes = len(logits)
    # Empty classes have no examples to mix.
    present = groups.counts > 0
    allowed = jnp.where(present[:, None] & present[None], logits, -jnp.inf)
    pairs = jax.random.categorical(classes_key, allowed.reshape(-1), shape=(size,))

    def draw(key: jax.Array, classes: jax.Array) -> jax.Array:
        counts = groups.counts[classes]
        offset = (jax.random.uniform(key, (size,)) * counts).astype(jnp.int32)
        return groups.members[groups.first[classes] + jnp.minimum(offset, counts - 1)]

    shares = jax.random.uniform(share_key, (size,), minval=selmix.LEAST)
    return ExamplePairs(draw(first_key, pairs // num_classes), draw(second_key, pairs % num_classes), shares)


def mixed_batch(
    config: EnsembleConfig,
    member_config: MemberConfig,
    logits: jax.Array,
    train: Examples,
    chosen: jax.Array,
    weights: jax.Array,
    step: jax.Array,
) -> Batch:
    """A batch of mixed pairs drawn by `logits`, each labelled as its first example; `chosen` is unused."""
    del chosen
    key = jax.random.fold_in(draw_key(member_config.key, Draw.PAIRS), step)
    pairs = draw_pairs(key, logits, member_config.extra.groups, config.batch_size)
    first, second = (training_inputs(config, member_config, train, ids) for ids in (pairs.first, pairs.second))
    shares = pairs.shares.reshape(-1, *[1] * (first.ndim - 1))
    labels = training_labels(member_config, train)[pairs.first]
    return Batch(shares * first + (1 - shares) * second, labels, weights, member_config.extra.terms)


SELMIX = BALANCED._replace(batch=mixed_batch, init=initial_pair_logits, update=update_pair_logits)
