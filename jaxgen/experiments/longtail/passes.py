"""Probabilities that labels are flipped by as the authors of label-noise rebalancing take them: over augmented batches.

In their code (guangzhengh/LNR) a network of stage 1 sees two passes of the batches of stage 2, in which classes come
alike often, and an example's probabilities are means over the times it came. One that never came is not flipped; the
code does not count it among its class either, which here it is.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import LnrSpec
from jaxgen.config.fields import flag_values
from jaxgen.experiments.longtail.class_order import draw_class_aware, group_by_class
from jaxgen.experiments.longtail.features import classifier_of
from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.models.layers import Mode, product_precision
from jaxgen.runs.saved_models import LoadedModel
from jaxgen.transforms.augment import CHANGES, make_augmentation
from jaxgen.types import Dataset

PASSES = 2

See = Callable[..., jax.Array]


def look_in_passes(models: list[LoadedModel], data: Dataset, spec: LnrSpec) -> np.ndarray:
    """Probabilities of the training examples, by the models' own classifiers ``[runs, n, c]``; NaN of unseen ones.

    Args:
      models: of one network, one a run.
      data: whose training examples.
      spec: says how batches are augmented, and whether batch norm goes by their statistics.
    """
    see = make_look(models[0], spec)
    with jax.default_matmul_precision(product_precision(spec.compute.precision)):
        return np.stack([look_with(see, model, data, spec, run) for run, model in enumerate(models)])


def make_look(model: LoadedModel, spec: LnrSpec) -> See:
    """``see(key, variables, classifier, inputs [b, ...], present [b]) -> [b, c]``, compiled once for all runs."""
    chosen = {name: value for name, value in flag_values(spec.augmentation).items() if name in CHANGES and value}
    augment = make_augmentation(frozenset(chosen)) if chosen else None
    hparams = {name: jnp.float32(value) for name, value in chosen.items()}

    def see(key: jax.Array, variables: dict, classifier: tuple, inputs: jax.Array, present: jax.Array) -> jax.Array:
        if augment:
            inputs = augment(key, inputs, hparams, jnp.sum(present)).images
        mode = Mode(spec.head.shift_bn, present)
        # What batch norm would note of the batches is let go.
        features, _ = model.network.apply(variables, inputs, mode, method="features", mutable=["batch_stats"])
        kernel, bias = classifier
        return jax.nn.softmax(features.astype(jnp.float32) @ kernel + bias[None])

    return jax.jit(see)


def look_with(see: See, model: LoadedModel, data: Dataset, spec: LnrSpec, run: int) -> np.ndarray:
    """The same of one model ``[n, c]``."""
    key = draw_key(run_key(jax.random.key(spec.seed), run), Draw.PASS)
    count, size, classifier = len(data.labels), spec.head.head_batch_size, classifier_of(model)
    groups = group_by_class(jnp.asarray(data.labels), jnp.ones(count, bool), data.num_classes)
    total, seen = np.zeros((count, data.num_classes)), np.zeros(count)
    for number in range(PASSES):
        own = jax.random.fold_in(key, number)
        order = np.asarray(draw_class_aware(own, count, groups))
        for step in range(-(-count // size)):
            chosen = order[step * size : (step + 1) * size]
            # The last batch is filled up with what does not count.
            inputs, present = model.network_inputs(data.images[np.resize(chosen, size)]), jnp.arange(size) < len(chosen)
            augment_key = jax.random.fold_in(draw_key(own, Draw.AUGMENT), step)
            found = np.asarray(see(augment_key, model.variables, classifier, inputs, present))
            np.add.at(total, chosen, found[: len(chosen)])
            np.add.at(seen, chosen, 1)
    known = np.divide(total, seen[:, None], out=np.full_like(total, np.nan), where=seen[:, None] > 0)
    return known.astype(np.float32)
