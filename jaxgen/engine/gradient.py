"""The weighted mean loss of a batch and its gradient, with all that augmentation, dropout and classes change of it."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.engine.batch import AUGMENT, DROPOUT, Batch, ClassTerms, LearnerConfig, StepIndex, Variables, as_variables
from jaxgen.models.layers import Mode
from jaxgen.training.losses import cross_entropy, mixed_cross_entropy, weigh
from jaxgen.training.optimizers import HParams
from jaxgen.transforms.classes import remix_share


class Targets(NamedTuple):
    """What a batch's loss needs besides inputs: per example its label, its partner's, and what it drops by.

    ``labels``, ``partners`` int ``[b]``; ``shares`` float ``[b]``: the label's part in a mixture; ``weights [b]``;
    ``keys``: ``[b]`` keys of dropout, or None.
    """

    labels: jax.Array
    partners: jax.Array
    shares: jax.Array
    weights: jax.Array
    keys: jax.Array | None


def prepare(
    learner_config: LearnerConfig, key: jax.Array, hparams: HParams, batch: Batch, step_index: StepIndex
) -> tuple[jax.Array, Targets]:
    """Augmented inputs and targets of a batch; every draw is that of the member's key, the step and the example."""
    size = len(batch.labels)
    inputs, partner, share = batch.inputs, jnp.arange(size), jnp.ones(())
    if learner_config.augment:
        step_key = jax.random.fold_in(jax.random.fold_in(key, AUGMENT), step_index.count)
        count = jnp.sum(batch.weights > 0)
        inputs, partner, share = learner_config.augment(step_key, inputs, hparams, count)
    keys = None
    if "dropout" in learner_config.in_use:
        step_key = jax.random.fold_in(jax.random.fold_in(key, DROPOUT), step_index.count)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, jnp.arange(size))
    shares, partners = jnp.broadcast_to(share, (size,)), batch.labels[partner]
    if batch.remix is not None:
        own, others = (batch.remix.counts[labels] for labels in (batch.labels, partners))
        shares = remix_share(shares, own, others, kappa=batch.remix.kappa)
    return inputs, Targets(batch.labels, partners, shares, batch.weights, keys)


def mean_gradient(
    model: nn.Module,
    learner_config: LearnerConfig,
    hparams: HParams,
    params: Any,
    stats: Any,
    inputs: jax.Array,
    targets: Targets,
    terms: ClassTerms | None = None,
) -> tuple[jax.Array, Any, Any, jax.Array | None]:
    """The weighted mean loss of a batch, its gradient, the batch statistics after it and, if told, the logits.

    It is summed up over pieces of `microbatch_size` examples; nothing but rounding depends on their size.
    """
    mixes = bool({"mixup", "cutmix"} & learner_config.in_use)
    if terms is None:
        total = jnp.maximum(jnp.sum(targets.weights), 1)
    else:
        total = jnp.sum(targets.weights * class_weights(terms, targets, mixes=mixes))
        total = jnp.where(total > 0, total, 1)
    smoothing = hparams["label_smoothing"] if "label_smoothing" in learner_config.in_use else 0.0

    def share_of_loss(params: Any, inputs: jax.Array, targets: Targets) -> tuple[jax.Array, Any]:
        mode = Mode(True, targets.weights > 0, targets.keys, hparams["dropout"] if targets.keys is not None else 0.0)
        logits, updated = model.apply(
            as_variables(Variables(params, stats)), inputs, mode, mutable=["batch_stats"] if stats else []
        )
        if terms is not None:
            losses = balanced_losses(logits, targets, terms, mixes=mixes)
        elif mixes:
            losses = mixed_cross_entropy(logits, targets.labels, targets.partners, targets.shares, smoothing)
        else:
            losses = cross_entropy(logits, targets.labels, smoothing)
        told = logits.astype(jnp.float32) if learner_config.tells_logits else None
        return jnp.sum(losses * targets.weights) / total, (updated.get("batch_stats", stats), told)

    differentiate = jax.value_and_grad(share_of_loss, has_aux=True)
    microbatch_size = learner_config.microbatch_size or len(inputs)
    if stats or microbatch_size == len(inputs):
        (loss, (seen, logits)), grads = differentiate(params, inputs, targets)
        return loss, grads, seen, logits
    pieces = jax.tree.map(lambda field: field.reshape(-1, microbatch_size, *field.shape[1:]), (inputs, targets))

    def add(sums: Any, piece: Any) -> tuple[Any, jax.Array | None]:
        (loss, (_, logits)), grads = differentiate(params, *piece)
        return jax.tree.map(jnp.add, sums, (loss, grads)), logits

    (loss, grads), logits = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, (jnp.zeros(()), params)), pieces)
    return loss, grads, stats, None if logits is None else logits.reshape(-1, logits.shape[-1])


def class_weights(terms: ClassTerms, targets: Targets, *, mixes: bool) -> jax.Array:
    """By what each example's loss counts for its class, ``[b]``; in a mixture, for both."""
    own = terms.weights[targets.labels]
    if not mixes:
        return own
    return targets.shares * own + (1 - targets.shares) * terms.weights[targets.partners]


def balanced_losses(logits: jax.Array, targets: Targets, terms: ClassTerms, *, mixes: bool) -> jax.Array:
    """Cross-entropies ``[b]`` of shifted logits ``[b, c]``, smoothed and weighted by class; in a mixture, of both."""
    shifted = logits + terms.shift[None]

    def losses_of(labels: jax.Array) -> jax.Array:
        return terms.weights[labels] * cross_entropy(shifted, labels, terms.smoothing[labels])

    if not mixes:
        return losses_of(targets.labels)
    own, partner = losses_of(targets.labels), losses_of(targets.partners)
    return weigh(targets.shares, own) + weigh(1 - targets.shares, partner)
