"""Members that decide, every so many steps, which classes' inputs to mix, by what they make of held-out examples.

So far that is SelMix (`jaxgen.transforms.selmix`), on features of frozen networks. Axes: m members, b batch, c classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.class_order import ByClass
from jaxgen.engine.member_inputs import given_to, learns_from
from jaxgen.engine.members import EnsembleConfig, Examples, Guide, Member, MemberConfig, TrainState, map_members
from jaxgen.keys import RunDraw, subkey
from jaxgen.transforms import selmix


class Pairs(NamedTuple):
    """Which examples are mixed: ints ``[b]``, and the shares of the first ones ``[b]``."""

    first: jax.Array
    second: jax.Array
    shares: jax.Array


def weigh_pairs(config: EnsembleConfig, weights: Variables, guide: Guide) -> jax.Array:
    """How often a member draws each pair of classes: logits ``[c, c]``, by its linear classifier's confusions."""
    predictions = jnp.argmax(config.learner.predict(weights, guide.inputs), axis=-1)
    confusion = selmix.confusion_shares(guide.labels, predictions, config.num_classes)
    sums = jnp.zeros((config.num_classes, guide.inputs.shape[1])).at[guide.labels].add(guide.inputs)
    counts = jnp.zeros(config.num_classes).at[guide.labels].add(1)
    head, scale = weights.params["head"], weights.params["scale"]
    gains = selmix.mixing_gains(
        selmix.recall_slopes(confusion),
        sums / jnp.maximum(counts, 1)[:, None],
        head["kernel"] * scale[None],
        head["bias"] * scale,
    )
    return selmix.pair_logits(gains)


def decide_again(config: EnsembleConfig, members: Member, train_state: TrainState, step: jax.Array) -> TrainState:
    """All members before step `step` of their epochs; those whose time it is weigh pairs anew."""
    taken = train_state.epoch * -(-members.size // config.batch_size) + step
    due = taken % selmix.EVERY == 0

    def decide(train_state: TrainState) -> TrainState:
        weigh = map_members(lambda weights, guide: weigh_pairs(config, weights, guide))
        fresh = weigh(train_state.learner.weights, members.config.guide)
        return train_state._replace(pairs=jnp.where(due[:, None, None], fresh, train_state.pairs))

    return jax.lax.cond(jnp.any(due), decide, lambda same: same, train_state)


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
    config: EnsembleConfig, member: MemberConfig, train: Examples, logits: jax.Array, step: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Inputs ``[b, ...]`` and labels ``[b]`` of a step: mixtures, labelled as the first of them."""
    key = subkey(member.key, RunDraw.PAIRS, step)
    pairs = draw_pairs(key, logits, member.balance.groups, config.batch_size)
    first, second = (learns_from(config, member, train, chosen, step) for chosen in (pairs.first, pairs.second))
    shares = pairs.shares.reshape(-1, *[1] * (first.ndim - 1))
    return shares * first + (1 - shares) * second, given_to(member, train)[pairs.first]
