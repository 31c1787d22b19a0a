"""Inputs, labels and variables of members in training and evaluation."""

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Variables
from jaxgen.engine.learner import final_variables
from jaxgen.engine.members import EnsembleConfig, Examples, Member, MemberConfig, TrainState


def network_inputs(config: EnsembleConfig, images: jax.Array) -> jax.Array:
    """Stored values ``[b, ...]`` as inputs of the network: float32, scaled and normalized."""
    return normalize(config, scale_images(config, images))


def scale_images(config: EnsembleConfig, images: jax.Array) -> jax.Array:
    """Stored values ``[b, ...]`` as float32, scaled: images in [0, 1]."""
    return images.astype(jnp.float32) * config.scale


def normalize(config: EnsembleConfig, inputs: jax.Array) -> jax.Array:
    """Inputs as `EnsembleConfig.normalize` makes them."""
    return inputs if config.normalize is None else config.normalize(inputs)


def gather_images(member_config: MemberConfig, data: Examples, chosen: jax.Array) -> jax.Array:
    """Stored values ``[b, ...]`` of the `chosen` examples of the data, int ``[b]``, in the member's version of them."""
    version = member_config.version
    return data.images[chosen if version is None else version * len(data.labels) + chosen]


def training_inputs(
    config: EnsembleConfig, member_config: MemberConfig, train: Examples, chosen: jax.Array
) -> jax.Array:
    """The `chosen` ones of a member's training examples, int ``[b]``: scaled inputs ``[b, ...]``, not normalized yet.

    Augmentation comes in between: it is defined for images in [0, 1].
    """
    rows = chosen if member_config.rows is None else member_config.rows[chosen]
    inputs = scale_images(config, gather_images(member_config, train, rows))
    return inputs if config.input_transform is None else config.input_transform(member_config, chosen, inputs)


def true_labels(member_config: MemberConfig, train: Examples) -> jax.Array:
    """The true labels ``[n]`` of a member's training examples; of all members ``[m, n]``, or ``[n]`` if they agree."""
    return train.labels if member_config.rows is None else train.labels[member_config.rows]


def training_labels(member_config: MemberConfig, train: Examples) -> jax.Array:
    """The labels that a member is trained with, shaped as `true_labels`."""
    return true_labels(member_config, train) if member_config.labels is None else member_config.labels


def validation_mask(member: Member) -> jax.Array:
    """Which examples a member is validated on: bool ``[n]``."""
    place = jnp.arange(len(member.example_order))
    validated_on = (place >= member.size) & (place < member.size + member.num_validation)
    return jnp.zeros(len(member.example_order), bool).at[member.example_order].set(validated_on)


def evaluation_variables(train_state: TrainState) -> Variables:
    """The variables for evaluation: those of the best epoch with early stopping, else the last ones."""
    return final_variables(train_state.learner) if train_state.best is None else train_state.best.variables
