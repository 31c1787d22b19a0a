"""The weighted mean loss of a batch and its gradient, with augmentation, mixing, dropout and terms by class."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgen.engine.batch import Batch, ClassTerms, LearnerConfig, StepIndex, Variables, as_collections
from jaxgen.keys import Draw, draw_key
from jaxgen.models.layers import Mode
from jaxgen.training.losses import cross_entropy, mixed_cross_entropy, subtract_margins, weigh
from jaxgen.training.optimizers import HParams
from jaxgen.transforms.classes import remix_share


class Targets(NamedTuple):
    """Targets of the loss of a batch.

    Attributes:
      labels, partners: int ``[b]``: the label of each example, and of the example that it is mixed with.
      shares: float ``[b]``: the part of its own label in a mixture, in [0, 1].
      weights: float ``[b]``.
      keys: ``[b]`` keys of dropout; None without dropout.
    """

    labels: jax.Array
    partners: jax.Array
    shares: jax.Array
    weights: jax.Array
    keys: jax.Array | None


def prepare(
    learner_config: LearnerConfig, key: jax.Array, hparams: HParams, batch: Batch, step_index: StepIndex
) -> tuple[jax.Array, Targets]:
    """Inputs, augmented and then normalized, and targets of a batch.

    Draws are functions of the member's key, step and example.
    """
    size = len(batch.labels)
    inputs, partner, share = batch.inputs, jnp.arange(size), jnp.ones(())
    if learner_config.augment:
        step_key = jax.random.fold_in(draw_key(key, Draw.AUGMENT), step_index.count)
        count = jnp.sum(batch.weights > 0)
        inputs, partner, share = learner_config.augment(step_key, inputs, hparams, count)
    if learner_config.normalize:
        inputs = learner_config.normalize(inputs)
    keys = None
    if "dropout" in learner_config.in_use:
        step_key = jax.random.fold_in(draw_key(key, Draw.DROPOUT), step_index.count)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, jnp.arange(size))
    shares, partners = jnp.broadcast_to(share, (size,)), batch.labels[partner]
    if batch.remix is not None:
        counts, partner_counts = (batch.remix.counts[labels] for labels in (batch.labels, partners))
        shares = remix_share(shares, counts, partner_counts, kappa=batch.remix.kappa)
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
    """The weighted mean loss of a batch, its gradient, the new batch statistics, and the logits or None.

    It is summed over microbatches of `microbatch_size` examples; nothing but rounding depends on their size.
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
            as_collections(Variables(params, stats)), inputs, mode, mutable=["batch_stats"] if stats else []
        )
        if terms is not None:
            losses = balanced_losses(logits, targets, terms, mixes=mixes)
        elif mixes:
            losses = mixed_cross_entropy(logits, targets.labels, targets.partners, targets.shares, smoothing)
        else:
            losses = cross_entropy(logits, targets.labels, smoothing)
        returned = logits.astype(jnp.float32) if learner_config.returns_logits else None
        return jnp.sum(losses * targets.weights) / total, (updated.get("batch_stats", stats), returned)

    differentiate = jax.value_and_grad(share_of_loss, has_aux=True)
    microbatch_size = learner_config.microbatch_size or len(inputs)
    if stats or microbatch_size == len(inputs):
        (loss, (new_stats, logits)), grads = differentiate(params, inputs, targets)
        return loss, grads, new_stats, logits
    pieces = jax.tree.map(lambda field: field.reshape(-1, microbatch_size, *field.shape[1:]), (inputs, targets))

    def add(sums: Any, piece: Any) -> tuple[Any, jax.Array | None]:
        (loss, (_, logits)), grads = differentiate(params, *piece)
        return jax.tree.map(jnp.add, sums, (loss, grads)), logits

    (loss, grads), logits = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, (jnp.zeros(()), params)), pieces)
    return loss, grads, stats, None if logits is None else logits.reshape(-1, logits.shape[-1])


def class_weights(terms: ClassTerms, targets: Targets, *, mixes: bool) -> jax.Array:
    """The class weight of each example ``[b]``; of a mixture, the mixed weight of both classes."""
    weights = terms.weights[targets.labels]
    if not mixes:
        return weights
    return targets.shares * weights + (1 - targets.shares) * terms.weights[targets.partners]


def balanced_losses(logits: jax.Array, targets: Targets, terms: ClassTerms, *, mixes: bool) -> jax.Array:
    """Cross-entropies ``[b]`` of shifted logits ``[b, c]``, with margins, smoothed and weighted by class; or mixed."""
    shifted = logits + terms.shift[None]

    def losses_of(labels: jax.Array) -> jax.Array:
        lowered = shifted if terms.margins is None else subtract_margins(shifted, labels, terms.margins)
        return terms.weights[labels] * cross_entropy(lowered, labels, terms.smoothing[labels])

    if not mixes:
        return losses_of(targets.labels)
    losses, partner_losses = losses_of(targets.labels), losses_of(targets.partners)
    return weigh(targets.shares, losses) + weigh(1 - targets.shares, partner_losses)
