"""Features and classifiers of the stage-1 models, the training data of stage 2."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.data.long_tail import LongTail
from jaxgen.models import has_cosine
from jaxgen.models.layers import COSINE_SCALE, unit_vectors
from jaxgen.runs.saved_models import LoadedModel

# Examples in a batch of the forward pass.
BATCH_SIZE = 500


class Stage1Outputs(NamedTuple):
    """Outputs of v stage-1 models on n training, s selection and t test examples.

    Attributes:
      train, selection, test: features float32 ``[v, n, f]``, ``[v, s, f]``, ``[v, t, f]``.
      kernels, biases: weights of the classifiers, ``[v, f, c]`` and ``[v, c]``.
      finite: whether training stayed finite, bool ``[v]``.
      probabilities: class probabilities of the training examples, used to flip labels, ``[v, n, c]``; NaN if unknown.
    """

    train: np.ndarray
    selection: np.ndarray
    test: np.ndarray
    kernels: np.ndarray
    biases: np.ndarray
    finite: np.ndarray
    probabilities: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits of the models' own classifiers ``[v, b, c]`` on features ``[v, b, f]``."""
        return features @ self.kernels + self.biases[:, None]


def compute_outputs(models: list[LoadedModel], tail: LongTail, finite: np.ndarray) -> Stage1Outputs:
    """Computes the outputs of all models on all examples, without augmentation.

    Args:
      models: the stage-1 models.
      tail: the data.
      finite: bool ``[v]``: whether training of each model stayed finite.
    """
    sets = (tail.dataset.images, tail.images, tail.dataset.test_images)
    features = [[features_of(model, images) for images in sets] for model in models]
    classifiers = [classifier_of(model) for model in models]
    (train, selection, test), (kernels, biases) = stack_parts(features), stack_parts(classifiers)
    probabilities = np.array(jax.nn.softmax(train @ kernels + biases[:, None]))
    return Stage1Outputs(train, selection, test, kernels, biases, finite, probabilities)


def stack_parts(parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Stacks the models' arrays, given as one list per model, into arrays ``[v, ...]``."""
    return [np.stack(part) for part in zip(*parts, strict=True)]


def features_of(model: LoadedModel, images: np.ndarray) -> np.ndarray:
    """Features of stored examples ``[b, ...]``, the input of the model's linear classifier: float32 ``[b, f]``.

    Of a network with a cosine classifier they are unit vectors.
    """
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    features = np.concatenate([model.features(batch) for batch in batches])
    return np.asarray(unit_vectors(features, -1)) if has_cosine(model.network) else features


def classifier_of(model: LoadedModel) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``[f, c]`` and bias ``[c]`` of the model's linear classifier, scale included; of a cosine one, bias 0."""
    params = model.variables["params"]
    layers = sorted((name for name in params if name.startswith("Dense_")), key=lambda name: int(name.split("_")[1]))
    layer = params[next((name for name in ("classifier", "head") if name in params), layers[-1] if layers else "")]
    if has_cosine(model.network):
        kernel = COSINE_SCALE * np.asarray(unit_vectors(layer["kernel"], 0))
        return kernel, np.zeros(kernel.shape[1], np.float32)
    scale = np.asarray(params.get("scale", 1.0), np.float32)
    return np.asarray(layer["kernel"], np.float32) * scale, np.asarray(layer["bias"], np.float32) * scale
