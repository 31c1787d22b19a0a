"""A sampler for classes of unequal size: class-balanced order where a member asks for it, and loss terms by class."""

from typing import Any, NamedTuple

import jax

from jaxgen.engine.batch import Batch, ClassTerms
from jaxgen.engine.members import EnsembleConfig, Member, MemberConfig, Sampler
from jaxgen.engine.sampling import plain_batch
from jaxgen.experiments.longtail.class_order import ByClass, draw_either


class ValidationSet(NamedTuple):
    """Held-out examples that SelMix estimates confusions on: ``inputs [s, f]`` and ``labels [s]``."""

    inputs: jax.Array
    labels: jax.Array


class Balance(NamedTuple):
    """How a member makes up for classes of unequal size, by its training labels.

    Attributes:
      groups: its examples by class.
      aware: bool: whether its order is class-balanced, in place of every example once an epoch.
      terms: what classes change of its loss.
      validation: None unless it is trained by SelMix.
    """

    groups: ByClass
    aware: jax.Array
    terms: ClassTerms
    validation: ValidationSet | None = None


def balanced_order(key: jax.Array, member: Member, count: int) -> jax.Array:
    """A random order or a class-balanced one, as the member's `Balance` says: int32 ``[count]``."""
    balance = member.config.extra
    return draw_either(key, count, member.example_order, member.size, balance.groups, balance.aware)


def balanced_batch(config: EnsembleConfig, member_config: MemberConfig, *arguments: Any) -> Batch:
    """The batch of plain training, with the member's loss terms by class."""
    return plain_batch(config, member_config, *arguments)._replace(terms=member_config.extra.terms)


BALANCED = Sampler(balanced_order, balanced_batch)
