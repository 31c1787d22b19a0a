"""What members see of the data, which labels they are given, and what they predict with."""

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.learner import final_variables
from jaxgen.engine.members import EnsembleConfig, Examples, Member, MemberConfig, TrainState
from jaxgen.keys import RunDraw, subkey
from jaxgen.transforms.pixels import whiten_images


def as_inputs(config: EnsembleConfig, images: jax.Array) -> jax.Array:
    """Stored values ``[b, ...]`` as the network sees them: float32, scaled, whitened if the recipe says so."""
    inputs = images.astype(jnp.float32) * config.scale
    return whiten_images(inputs) if config.whiten else inputs


def seen_by(member: MemberConfig, data: Examples, chosen: jax.Array) -> jax.Array:
    """The stored values of the `chosen` examples of the data, int ``[b]``, in the version that a member sees."""
    return data.images[chosen if member.version is None else member.version * len(data.labels) + chosen]


def learns_from(
    config: EnsembleConfig, member: MemberConfig, train: Examples, chosen: jax.Array, step: jax.Array | None = None
) -> jax.Array:
    """The `chosen` ones of a member's own examples as the network sees them.

    Args:
      config: of all members.
      member: who.
      train: the training data.
      chosen: int ``[b]``.
      step: steps taken before; None: the member is not trained but examined.
    """
    own = member
    if member.mixed is not None and step is not None:
        key = subkey(member.key, RunDraw.MIXED, step)
        usual = 0 if member.version is None else member.version
        mixes = jax.random.uniform(key, chosen.shape) < member.mixed.share
        own = member._replace(version=jnp.where(mixes, member.mixed.version, usual))
    inputs = as_inputs(config, seen_by(own, train, chosen if member.rows is None else member.rows[chosen]))
    return inputs if config.show is None else config.show(member, chosen, inputs)


def true_to(member: MemberConfig, train: Examples) -> jax.Array:
    """The true labels ``[n]`` of a member's own examples."""
    return train.labels if member.rows is None else train.labels[member.rows]


def given_to(member: MemberConfig, train: Examples) -> jax.Array:
    """The labels ``[n]`` that a member is trained with."""
    return true_to(member, train) if member.labels is None else member.labels


def validation_mask(member: Member) -> jax.Array:
    """Which examples a member is stopped by: bool ``[n]``."""
    place = jnp.arange(len(member.own))
    stopped_by = (place >= member.size) & (place < member.size + member.num_validation)
    return jnp.zeros(len(member.own), bool).at[member.own].set(stopped_by)


def chosen_variables(train_state: TrainState) -> Variables:
    """What a member is examined with: its best epoch's weights where members may stop early, or else its last ones."""
    return final_variables(train_state.learner) if train_state.best is None else train_state.best.weights
