"""LDAM-DRW: stage 1 with larger margins for smaller classes and, in the last epochs, losses weighted by class.

K. Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019
(https://arxiv.org/abs/1906.07413). As in the authors' code (kaidic/LDAM-DRW), features and class weights are normalized
in the last layer, logits are 30 times their cosines, the largest margin is 0.5 before that scale, and weights by
effective numbers (beta 0.9999) come in the last fifth of the epochs, there from epoch 160 of 200. Two things differ.
The learning rate goes by ``--schedule``, where theirs falls when the weights come; and class weights begin as those of
the other networks, not as unit vectors. Another last layer is another program, so ``ce``, ``mixup`` and ``remix`` keep
theirs. A run begins with the same weights and sees the same order of examples as in these.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch, ClassTerms
from jaxgen.engine.members import EnsembleConfig, Examples, MemberConfig
from jaxgen.engine.sampling import SHUFFLED, plain_batch
from jaxgen.jobs.member_table import TableRow
from jaxgen.jobs.program import Program, hparams_of
from jaxgen.keys import run_key
from jaxgen.models.layers import COSINE_SCALE
from jaxgen.transforms.classes import class_counts, effective_weights, ldam_margins


def make_ldam_member(num_classes: int, program: Program, row: TableRow, train: Examples) -> MemberConfig:
    """The config of a member; its ``extra`` are `ClassTerms` with the weights of the last epochs."""
    key = run_key(jax.random.key(program.spec.seed), row.run)
    counts, zeros = class_counts(train.labels, num_classes), jnp.zeros(num_classes)
    smoothing = zeros + program.spec.regularization.label_smoothing
    terms = ClassTerms(smoothing, effective_weights(counts), zeros, COSINE_SCALE * ldam_margins(counts))
    return MemberConfig(key, jnp.ones(len(train.labels), bool), hparams_of(program, row.setting), extra=terms)


def first_weighted(epochs: int) -> int:
    """The first epoch, from 0, whose losses are weighted by class: four fifths of all, rounded down."""
    return epochs * 4 // 5


def ldam_batch(
    config: EnsembleConfig,
    member_config: MemberConfig,
    state: Any,
    train: Examples,
    chosen: jax.Array,
    weights: jax.Array,
    step: jax.Array,
) -> Batch:
    """A plain batch with margins, and in the last epochs with class weights; as `Sampler.batch` has it."""
    batch = plain_batch(config, member_config, state, train, chosen, weights, step)
    # Members train on all examples.
    steps_before = first_weighted(config.epochs) * -(-config.num_examples // config.batch_size)
    terms = member_config.extra
    return batch._replace(terms=terms._replace(weights=jnp.where(step >= steps_before, terms.weights, 1.0)))


def describe_ldam(epochs: int) -> str:
    """What is done in stage 1 with so many epochs."""
    return (
        "ldam_drw is stage 1 without mixup, by cosines of features and class weights, with a margin for each class "
        f"and, from epoch {first_weighted(epochs) + 1} of {epochs} on, losses weighted by class."
    )


LDAM = SHUFFLED._replace(batch=ldam_batch)
