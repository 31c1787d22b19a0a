"""SelMix: a sampler that mixes features of two classes, and weighs pairs of classes anew every so many steps.

What a pair gains (`jaxgen.transforms.selmix`) is estimated on validation examples by the member's linear classifier.
It works on features of frozen networks. Axes: m members, b batch, c classes, f features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch, Variables
from jaxgen.engine.member_inputs import training_inputs, training_labels
from jaxgen.engine.members import EnsembleConfig, Examples, Member, MemberConfig, TrainState, map_members
from jaxgen.experiments.longtail.balance import BALANCED, ValidationSet
from jaxgen.experiments.longtail.class_order import ByClass
from jaxgen.keys import Draw, draw_key
from jaxgen.transforms import selmix


class Pairs(NamedTuple):
    """Which examples are mixed: ints ``[b]``, and the shares of the first ones ``[b]``."""

    first: jax.Array
    second: jax.Array
    shares: jax.Array


def weigh_pairs(config: EnsembleConfig, variables: Variables, validation: ValidationSet) -> jax.Array:
    """How often a member draws each pair of classes: logits ``[c, c]``, by its classifier's confusion matrix."""
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


def first_pairs(config: EnsembleConfig, member_config: MemberConfig, variables: Variables) -> jax.Array:
    """The logits ``[c, c]`` of the pairs that a member begins with."""
    return weigh_pairs(config, variables, member_config.extra.validation)


def update_pairs(config: EnsembleConfig, members: Member, train_state: TrainState, step: jax.Array) -> jax.Array:
    """All members' logits ``[m, c, c]`` before step `step` of their epochs, weighed anew where that is due."""
    taken = train_state.epoch * -(-members.size // config.batch_size) + step
    due = taken % selmix.EVERY == 0

    def weigh(pairs: jax.Array) -> jax.Array:
        weigh_each = map_members(lambda variables, validation: weigh_pairs(config, variables, validation))
        weighed = weigh_each(train_state.learner.variables, members.config.extra.validation)
        return jnp.where(due[:, None, None], weighed, pairs)

    return jax.lax.cond(jnp.any(due), weigh, lambda pairs: pairs, train_state.sampler)


def draw_pairs(key: jax.Array, logits: jax.Array, groups: ByClass, size: int) -> Pairs:
    """So many pairs of examples, of classes drawn by `logits`, each example of its class as likely as any other."""
    classes_key, first_key, second_key, share_key = jax.random.split(key, 4)
    num_classes = len(logits)
    # Of classes without examples there are none to mix.
    present = groups.counts > 0
    allowed = jnp.where(present[:, None] & present[None], logits, -jnp.inf)
    pairs = jax.random.categorical(classes_key, allowed.reshape(-1), shape=(size,))

    def draw(key: jax.Array, classes: jax.Array) -> jax.Array:
        counts = groups.counts[classes]
        place = (jax.random.uniform(key, (size,)) * counts).astype(jnp.int32)
        return groups.members[groups.first[classes] + jnp.minimum(place, counts - 1)]

    shares = jax.random.uniform(share_key, (size,), minval=selmix.LEAST)
    return Pairs(draw(first_key, pairs // num_classes), draw(second_key, pairs % num_classes), shares)


def mixed_batch(
    config: EnsembleConfig,
    member_config: MemberConfig,
    logits: jax.Array,
    train: Examples,
    chosen: jax.Array,
    weights: jax.Array,
    step: jax.Array,
) -> Batch:
    """Mixtures of pairs drawn by `logits`, each labelled as its first example; `chosen` has no part in it."""
    del chosen
    key = jax.random.fold_in(draw_key(member_config.key, Draw.PAIRS), step)
    pairs = draw_pairs(key, logits, member_config.extra.groups, config.batch_size)
    first, second = (training_inputs(config, member_config, train, each) for each in (pairs.first, pairs.second))
    shares = pairs.shares.reshape(-1, *[1] * (first.ndim - 1))
    labels = training_labels(member_config, train)[pairs.first]
    return Batch(shares * first + (1 - shares) * second, labels, weights, member_config.extra.terms)


SELMIX = BALANCED._replace(batch=mixed_batch, init=first_pairs, update=update_pairs)
