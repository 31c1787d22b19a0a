"""A sampler of members that are trained on two versions of the images: each example in one of them, anew each step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch
from jaxgen.engine.members import EnsembleConfig, Examples, MemberConfig
from jaxgen.engine.sampling import SHUFFLED, plain_batch
from jaxgen.keys import Draw, draw_key


class MixedVersion(NamedTuple):
    """In a training step an example comes in version `version` with probability `share`: two scalars."""

    version: jax.Array
    share: jax.Array


def mixed_batch(
    config: EnsembleConfig,
    member_config: MemberConfig,
    state: Any,
    train: Examples,
    chosen: jax.Array,
    weights: jax.Array,
    step: jax.Array,
) -> Batch:
    """The batch of plain training, some examples in the version of the member's `MixedVersion`, if it has one."""
    mixed, own = member_config.extra, member_config
    if mixed is not None:
        key = jax.random.fold_in(draw_key(own.key, Draw.MIXED), step)
        usual = 0 if own.version is None else own.version
        mixes = jax.random.uniform(key, chosen.shape) < mixed.share
        own = own._replace(version=jnp.where(mixes, mixed.version, usual))
    return plain_batch(config, own, state, train, chosen, weights, step)


# Members are evaluated on their usual version alone.
MIXING = SHUFFLED._replace(batch=mixed_batch)
