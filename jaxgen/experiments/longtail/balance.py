"""A sampler for imbalanced classes: class-balanced order where a member asks for it, and class-dependent losses."""

from typing import Any, NamedTuple

import jax

from jaxgen.engine.batch import Batch, ClassTerms
from jaxgen.engine.members import EnsembleConfig, Member, MemberConfig, Sampler
from jaxgen.engine.sampling import plain_batch
from jaxgen.experiments.longtail.class_order import ClassGroups, draw_either


class ValidationSet(NamedTuple):
    """Held-out examples for SelMix's confusion matrix: ``inputs [s, f]`` and ``labels [s]``."""

    inputs: jax.Array
    labels: jax.Array


class Balance(NamedTuple):
    """How a member handles class imbalance.

    Attributes:
      groups: its training examples by class.
      aware: bool: whether sampling is class-balanced, instead of every example once an epoch.
      terms: class-dependent terms of the loss.
      validation: for SelMix only, else None.
    """

    groups: ClassGroups
    aware: jax.Array
    terms: ClassTerms
    validation: ValidationSet | None = None


def balanced_order(key: jax.Array, member: Member, count: int) -> jax.Array:
    """Example order of an epoch, random or class-balanced as `Balance.aware` says: int32 ``[count]``."""
    balance = member.config.extra
    return draw_either(key, count, member.example_order, member.size, balance.groups, balance.aware)


def balanced_batch(config: EnsembleConfig, member_config: MemberConfig, *arguments: Any) -> Batch:
    """A plain batch with the member's class-dependent loss terms."""
    return plain_batch(config, member_config, *arguments)._replace(terms=member_config.extra.terms)


BALANCED = Sampler(balanced_order, balanced_batch)
