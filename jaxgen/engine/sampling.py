"""The sampler of plain training: all examples once per epoch, in a new random order."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch
from jaxgen.engine.member_inputs import training_inputs, training_labels
from jaxgen.engine.members import EnsembleConfig, Examples, Member, MemberConfig, Sampler
from jaxgen.engine.order import permute


def shuffled_order(key: jax.Array, member: Member, count: int) -> jax.Array:
    """A random order of the member's examples: int32 ``[count]``; those from its size on are not used."""
    return member.example_order[permute(key, jnp.arange(count, dtype=jnp.int32), member.size)]


def plain_batch(
    config: EnsembleConfig,
    member_config: MemberConfig,
    state: Any,
    train: Examples,
    chosen: jax.Array,
    weights: jax.Array,
    step: jax.Array,
) -> Batch:
    """The `chosen` examples, as `jaxgen.engine.members.Sampler.batch` has them."""
    del state, step
    inputs = training_inputs(config, member_config, train, chosen)
    return Batch(inputs, training_labels(member_config, train)[chosen], weights)


SHUFFLED = Sampler(shuffled_order, plain_batch)
