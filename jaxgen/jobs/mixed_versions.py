"""A sampler for training on two versions of the images: each step draws the version of each example."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch
from jaxgen.engine.members import EnsembleConfig, Examples, MemberConfig
from jaxgen.engine.sampling import SHUFFLED, plain_batch
from jaxgen.keys import Draw, draw_key


class MixedVersion(NamedTuple):
    """In a training step each example is of version `version` with probability `share`; both are scalars."""

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
    """The batch of plain training, with examples randomly replaced by the version of `MixedVersion`, if any."""
    mixed, plain_config = member_config.extra, member_config
    if mixed is not None:
        key = jax.random.fold_in(draw_key(plain_config.key, Draw.MIXED), step)
        usual = 0 if plain_config.version is None else plain_config.version
        mixes = jax.random.uniform(key, chosen.shape) < mixed.share
        plain_config = plain_config._replace(version=jnp.where(mixes, mixed.version, usual))
    return plain_batch(config, plain_config, state, train, chosen, weights, step)


# Evaluation uses the member's own version only.
MIXING = SHUFFLED._replace(batch=mixed_batch)
