"""One model and how it learns: pure functions without a member axis. `ensemble` maps them over members."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen.losses import cross_entropy, mixed_cross_entropy, weigh
from jaxgen.models.layers import EXAMINE, How
from jaxgen.optim import Knobs, ascend, average, limit_norms
from jaxgen.transforms.augment import Mixed
from jaxgen.transforms.classes import remix_share

# One constant a purpose, folded into a member's key (contract 1); `scores.designs` holds those of the subsets.
INIT, ORDER, NOISE, AUGMENT, DROPOUT, VALIDATION, MIXED, PAIRS = 1, 2, 3, 4, 5, 6, 20, 21


class ClassTerms(NamedTuple):
    """What classes change of a loss, by the label given; float ``[c]`` all.

    Attributes:
      smoothing: label smoothing of a class's examples.
      weights: by which their losses count.
      shift: what is added to logits while training (logit adjustment).
    """

    smoothing: jax.Array
    weights: jax.Array
    shift: jax.Array


class Remix(NamedTuple):
    """Labels of mixtures by the classes' sizes (`jaxgen.transforms.classes.remix_share`).

    Attributes:
      counts: of the classes' examples ``[c]``.
      kappa: from which ratio on; infinite: labels are mixed as inputs are.
    """

    counts: jax.Array
    kappa: jax.Array


class Batch(NamedTuple):
    """b examples: ``inputs [b, ...]`` as the network sees them, ``labels [b]``, ``weights [b]``.

    A weight of 0 leaves an example out; those of weight 1 come first. With `terms`, smoothing is by class. With
    `remix`, a mixture's labels count by their classes' sizes.
    """

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    terms: ClassTerms | None = None
    remix: Remix | None = None


class Moment(NamedTuple):
    """When a step is taken: step `step` of the `num_steps` steps of epoch `epoch`; both count from 0."""

    epoch: jax.Array
    step: jax.Array
    num_steps: jax.Array

    @property
    def count(self) -> jax.Array:
        """Steps taken before."""
        return self.epoch * self.num_steps + self.step

    @property
    def progress(self) -> jax.Array:
        """Epochs finished when the step is done, float32."""
        return self.epoch + (self.step + 1) / self.num_steps


class Weights(NamedTuple):
    """What a network predicts with: parameters, and running batch statistics (empty without batch norm)."""

    params: Any
    stats: Any


class LearnerState(NamedTuple):
    """What training changes; `averaged` is None unless weights are averaged."""

    weights: Weights
    opt_state: Any
    averaged: Weights | None


class Learner(NamedTuple):
    """A model and its optimizer.

    Attributes:
      init: ``(key, knobs, params, stats) -> state``, with these parameters and batch statistics, or with drawn ones
        where they are None.
      step: ``(key, knobs, state, batch, moment) -> (state, loss, logits)``: one gradient step, and the batch's mean
        loss and logits ``[b, c]`` before it; logits are None unless the methods tell them.
      predict: ``(weights, inputs [b, ...]) -> logits [b, c]``.
    """

    init: Callable[..., LearnerState]
    step: Callable[[jax.Array, Knobs, LearnerState, Batch, Moment], tuple[LearnerState, jax.Array, jax.Array | None]]
    predict: Callable[[Weights, jax.Array], jax.Array]


class Methods(NamedTuple):
    """What a learner does besides gradient steps; fixed when its program is compiled.

    Attributes:
      optimize: from `jaxgen.optim.make_optimizer`.
      augment: from `jaxgen.transforms.augment.make_augmentation`, or None.
      in_use: names of the knobs that some member has above 0.
      at_once: examples whose gradient is computed together, a divisor of the batch size, or None: the whole batch.
        Activations of a few examples stay in a CPU's cache. Networks with batch norm need the whole batch.
      precision: of float32 products, as `jax.default_matmul_precision` has it.
      groups: names of all of the parameters' uppermost groups, if each has a step size of its own: the usual one times
        the knob ``<group>_rate``. At 0 a group stays as it is.
      tells_logits: whether a step gives its logits too: those of what it is trained on, augmented and mixed.
    """

    optimize: Callable[[jax.Array, Knobs], optax.GradientTransformationExtraArgs]
    augment: Callable[[jax.Array, jax.Array, Knobs, jax.Array], Mixed] | None = None
    in_use: frozenset[str] = frozenset()
    at_once: int | None = None
    precision: str = "float32"
    groups: tuple[str, ...] = ()
    tells_logits: bool = False


def make_learner(model: nn.Module, methods: Methods, input_shape: tuple[int, ...]) -> Learner:
    """A learner that minimizes the weighted mean cross-entropy.

    Args:
      model: maps ``[b, *input_shape]`` and a `How` to logits.
      methods: how it learns.
      input_shape: the shape of one example.
    """

    def init(key: jax.Array, knobs: Knobs, params: Any = None, stats: Any = None) -> LearnerState:
        variables = model.init(jax.random.fold_in(key, INIT), jnp.zeros((1, *input_shape)))
        stats = variables.get("batch_stats", {}) if stats is None else stats
        weights = Weights(variables["params"] if params is None else params, stats)
        opt_state = methods.optimize(jax.random.fold_in(key, NOISE), knobs).init(weights.params)
        return LearnerState(weights, opt_state, weights if "ema_decay" in methods.in_use else None)

    def step(
        key: jax.Array, knobs: Knobs, state: LearnerState, batch: Batch, moment: Moment
    ) -> tuple[LearnerState, jax.Array, jax.Array | None]:
        with jax.default_matmul_precision(methods.precision):
            terms = batch.terms
            batch, targets = prepare(methods, key, knobs, batch, moment)
            params, stats = state.weights
            differentiate = functools.partial(mean_gradient, model, methods, knobs, terms=terms)
            loss, grads, seen, logits = differentiate(params, stats, batch, targets)
            if "sam_radius" in methods.in_use:
                there = ascend(params, grads, knobs["sam_radius"])
                _, grads, _, _ = differentiate(there, stats, batch, targets)
            optimizer = methods.optimize(jax.random.fold_in(key, NOISE), knobs)
            updates, opt_state = optimizer.update(grads, state.opt_state, params, progress=moment.progress)
            if methods.groups:
                rates = {group: knobs[f"{group}_rate"] for group in methods.groups}
                updates = {group: optax.tree.scale(rate, updates[group]) for group, rate in rates.items()}
            params = optax.apply_updates(params, updates)
        if "max_norm" in methods.in_use:
            params = limit_norms(params, knobs["max_norm"])
        weights, averaged = Weights(params, seen), state.averaged
        if averaged is not None:
            averaged = average(averaged, weights, knobs["ema_decay"], moment.count)
        return LearnerState(weights, opt_state, averaged), loss, logits

    def predict(weights: Weights, inputs: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(methods.precision):
            return model.apply(as_variables(weights), inputs, EXAMINE)

    return Learner(init, step, predict)


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


def prepare(methods: Methods, key: jax.Array, knobs: Knobs, batch: Batch, moment: Moment) -> tuple[jax.Array, Targets]:
    """Augmented inputs and targets of a batch; every draw is that of the member's key, the step and the example."""
    size = len(batch.labels)
    inputs, partner, share = batch.inputs, jnp.arange(size), jnp.ones(())
    if methods.augment:
        step_key = jax.random.fold_in(jax.random.fold_in(key, AUGMENT), moment.count)
        count = jnp.sum(batch.weights > 0)
        inputs, partner, share = methods.augment(step_key, inputs, knobs, count)
    keys = None
    if "dropout" in methods.in_use:
        step_key = jax.random.fold_in(jax.random.fold_in(key, DROPOUT), moment.count)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, jnp.arange(size))
    shares, partners = jnp.broadcast_to(share, (size,)), batch.labels[partner]
    if batch.remix is not None:
        own, others = (batch.remix.counts[labels] for labels in (batch.labels, partners))
        shares = remix_share(shares, own, others, kappa=batch.remix.kappa)
    return inputs, Targets(batch.labels, partners, shares, batch.weights, keys)


def mean_gradient(
    model: nn.Module,
    methods: Methods,
    knobs: Knobs,
    params: Any,
    stats: Any,
    inputs: jax.Array,
    targets: Targets,
    terms: ClassTerms | None = None,
) -> tuple[jax.Array, Any, Any, jax.Array | None]:
    """The weighted mean loss of a batch, its gradient, the batch statistics after it and, if told, the logits.

    It is summed up over pieces of `at_once` examples; nothing but rounding depends on their size.
    """
    mixes = bool({"mixup", "cutmix"} & methods.in_use)
    if terms is None:
        total = jnp.maximum(jnp.sum(targets.weights), 1)
    else:
        total = jnp.sum(targets.weights * class_weights(terms, targets, mixes=mixes))
        total = jnp.where(total > 0, total, 1)
    smoothing = knobs["label_smoothing"] if "label_smoothing" in methods.in_use else 0.0

    def share_of_loss(params: Any, inputs: jax.Array, targets: Targets) -> tuple[jax.Array, Any]:
        how = How(True, targets.weights > 0, targets.keys, knobs["dropout"] if targets.keys is not None else 0.0)
        logits, updated = model.apply(
            as_variables(Weights(params, stats)), inputs, how, mutable=["batch_stats"] if stats else []
        )
        if terms is not None:
            losses = balanced_losses(logits, targets, terms, mixes=mixes)
        elif mixes:
            losses = mixed_cross_entropy(logits, targets.labels, targets.partners, targets.shares, smoothing)
        else:
            losses = cross_entropy(logits, targets.labels, smoothing)
        told = logits.astype(jnp.float32) if methods.tells_logits else None
        return jnp.sum(losses * targets.weights) / total, (updated.get("batch_stats", stats), told)

    differentiate = jax.value_and_grad(share_of_loss, has_aux=True)
    at_once = methods.at_once or len(inputs)
    if stats or at_once == len(inputs):
        (loss, (seen, logits)), grads = differentiate(params, inputs, targets)
        return loss, grads, seen, logits
    pieces = jax.tree.map(lambda field: field.reshape(-1, at_once, *field.shape[1:]), (inputs, targets))

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


def as_variables(weights: Weights) -> Mapping[str, Any]:
    """Weights as Flax collections."""
    return {"params": weights.params} | ({"batch_stats": weights.stats} if weights.stats else {})


def final_weights(state: LearnerState) -> Weights:
    """The weights to predict with: averaged ones where they are kept."""
    return state.weights if state.averaged is None else state.averaged


def num_parameters(learner: Learner, knobs: Knobs) -> int:
    """Trainable numbers in the model; nothing is trained or allocated."""
    return sum(leaf.size for leaf in jax.tree.leaves(state_shapes(learner, knobs).weights.params))


def state_bytes(learner: Learner, knobs: Knobs) -> int:
    """Bytes of one member's parameters and optimizer state."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_shapes(learner, knobs)))


def state_shapes(learner: Learner, knobs: Knobs) -> LearnerState:
    """The state's shapes, found without running anything; `knobs` may be shapes too."""
    return jax.eval_shape(lambda knobs: learner.init(jax.random.key(0), knobs), knobs)
