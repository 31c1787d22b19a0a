"""What stage 1 found: each of its models' features and classifier, as the data of stage 2."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.data.long_tail import LongTail
from jaxgen.runs.saved_models import LoadedModel

# Examples that a model sees together.
AT_ONCE = 500


class Found(NamedTuple):
    """What v models of stage 1 make of n training, s selection and t test examples.

    Attributes:
      train, selection, test: features float32 ``[v, n, f]``, ``[v, s, f]``, ``[v, t, f]``.
      kernels, biases: of their classifiers, ``[v, f, c]`` and ``[v, c]``.
      finite: whether their training stayed finite, bool ``[v]``.
      probabilities: of the training examples, by which labels are flipped, ``[v, n, c]``; NaN of unknown ones.
    """

    train: np.ndarray
    selection: np.ndarray
    test: np.ndarray
    kernels: np.ndarray
    biases: np.ndarray
    finite: np.ndarray
    probabilities: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the models' own classifiers, ``[v, b, c]`` of ``[v, b, f]``."""
        return features @ self.kernels + self.biases[:, None]


def look(models: list[LoadedModel], tail: LongTail, finite: np.ndarray) -> Found:
    """Shows all models all examples, as they are: without augmentation; `finite` says whose training stayed so."""
    sets = (tail.dataset.images, tail.images, tail.dataset.test_images)
    found = [[features_of(model, images) for images in sets] for model in models]
    classifiers = [classifier_of(model) for model in models]
    (train, *others), (kernels, biases) = stack_parts(found), stack_parts(classifiers)
    probabilities = np.array(jax.nn.softmax(train @ kernels + biases[:, None]))
    return Found(train, *others, kernels, biases, finite, probabilities)


def stack_parts(parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Each model's arrays, one list a model, as one array of all models ``[v, ...]`` for each."""
    return [np.stack(part) for part in zip(*parts, strict=True)]


def features_of(model: LoadedModel, images: np.ndarray) -> np.ndarray:
    """What the model's classifier sees of stored examples ``[b, ...]``: float32 ``[b, f]``."""
    parts = [images[at : at + AT_ONCE] for at in range(0, len(images), AT_ONCE)]
    return np.concatenate([model.features(part) for part in parts])


def classifier_of(model: LoadedModel) -> tuple[np.ndarray, np.ndarray]:
    """The linear map from ``[b, f]`` features to logits: its kernel ``[f, c]`` and its bias ``[c]``, as learnt."""
    params = model.variables["params"]
    layers = sorted((name for name in params if name.startswith("Dense_")), key=lambda name: int(name.split("_")[1]))
    own = params[next((name for name in ("classifier", "head") if name in params), layers[-1] if layers else "")]
    scale = np.asarray(params.get("scale", 1.0), np.float32)
    return np.asarray(own["kernel"], np.float32) * scale, np.asarray(own["bias"], np.float32) * scale
