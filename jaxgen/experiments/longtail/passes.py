"""Class probabilities averaged over augmented batches, as in the authors' code of label-noise rebalancing.

In that code (guangzhengh/LNR) a stage-1 network predicts two passes of class-balanced stage-2 batches, and an example's
probabilities are means over its occurrences. A pass is the whole loader: as many draws of every class as the largest
class has examples. Here it is rounded up to whole visits of a class, so that every example occurs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import LnrSpec
from jaxgen.config.fields import flag_values
from jaxgen.experiments.longtail.class_order import VISIT, draw_class_aware, group_by_class
from jaxgen.experiments.longtail.features import classifier_of
from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.models.layers import Mode, product_precision
from jaxgen.runs.saved_models import LoadedModel
from jaxgen.transforms.augment import CHANGES, make_augmentation
from jaxgen.types import Dataset

PASSES = 2

Predict = Callable[..., jax.Array]


def augmented_probabilities(models: list[LoadedModel], data: Dataset, spec: LnrSpec) -> np.ndarray:
    """Class probabilities of the training examples, averaged over augmented batches: ``[runs, n, c]``.

    Args:
      models: models of the same architecture, one per run.
      data: the training data.
      spec: the flags of augmentation and of batch norm.

    Returns:
      Probabilities by the models' own classifiers.
    """
    predict = make_predict(models[0], spec)
    with jax.default_matmul_precision(product_precision(spec.compute.precision)):
        return np.stack([model_probabilities(predict, model, data, spec, run) for run, model in enumerate(models)])


def make_predict(model: LoadedModel, spec: LnrSpec) -> Predict:
    """``predict(key, variables, classifier, inputs [b, ...], present [b]) -> [b, c]``, compiled once for all runs."""
    chosen = {name: value for name, value in flag_values(spec.augmentation).items() if name in CHANGES and value}
    augment = make_augmentation(frozenset(chosen)) if chosen else None
    hparams = {name: jnp.float32(value) for name, value in chosen.items()}

    def predict(key: jax.Array, variables: dict, classifier: tuple, inputs: jax.Array, present: jax.Array) -> jax.Array:
        if augment:
            inputs = augment(key, inputs, hparams, jnp.sum(present)).images
        inputs = model.normalize(inputs)
        mode = Mode(spec.head.shift_bn, present)
        # Updates of the running batch statistics are discarded.
        features, _ = model.network.apply(variables, inputs, mode, method="features", mutable=["batch_stats"])
        kernel, bias = classifier
        return jax.nn.softmax(features.astype(jnp.float32) @ kernel + bias[None])

    return jax.jit(predict)


def model_probabilities(predict: Predict, model: LoadedModel, data: Dataset, spec: LnrSpec, run: int) -> np.ndarray:
    """Averaged class probabilities ``[n, c]`` of one model."""
    key = draw_key(run_key(jax.random.key(spec.seed), run), Draw.PASS)
    size, classifier = spec.head.head_batch_size, classifier_of(model)
    groups = group_by_class(jnp.asarray(data.labels), jnp.ones(len(data.labels), bool), data.num_classes)
    count = pass_length(np.bincount(data.labels, minlength=data.num_classes))
    total, times = np.zeros((len(data.labels), data.num_classes)), np.zeros(len(data.labels))
    for number in range(PASSES):
        pass_key = jax.random.fold_in(key, number)
        order = np.asarray(draw_class_aware(pass_key, count, groups))
        for step in range(-(-count // size)):
            batch = order[step * size : (step + 1) * size]
            # The last batch is padded; `present` masks the padding.
            inputs, present = model.scaled(data.images[np.resize(batch, size)]), jnp.arange(size) < len(batch)
            augment_key = jax.random.fold_in(draw_key(pass_key, Draw.AUGMENT), step)
            probabilities = np.asarray(predict(augment_key, model.variables, classifier, inputs, present))
            np.add.at(total, batch, probabilities[: len(batch)])
            np.add.at(times, batch, 1)
    return (total / times[:, None]).astype(np.float32)


def pass_length(counts: np.ndarray) -> int:
    """Draws of a pass in which every example occurs: of each class with examples, whole visits to all of the largest.

    Args:
      counts: examples of each class, ints ``[c]``.
    """
    return -(-int(counts.max()) // VISIT) * VISIT * int((counts > 0).sum())
