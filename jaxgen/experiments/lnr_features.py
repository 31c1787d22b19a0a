"""What stage 1 found: each of its models' features and classifier, as the data of stage 2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
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
    """

    train: np.ndarray
    selection: np.ndarray
    test: np.ndarray
    kernels: np.ndarray
    biases: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the models' own classifiers, ``[v, b, c]`` of ``[v, b, f]``."""
        return features @ self.kernels + self.biases[:, None]

    @property
    def probabilities(self) -> np.ndarray:
        """Of the training examples, by the models' own classifiers: ``[v, n, c]``."""
        return np.asarray(jax.nn.softmax(self.logits(self.train)))


def look(models: list[LoadedModel], tail: LongTail) -> Found:
    """Shows all models all examples, as they are: without augmentation."""
    sets = (tail.dataset.images, tail.images, tail.dataset.test_images)
    found = [[features_of(model, images) for images in sets] for model in models]
    classifiers = [classifier_of(model, own[0].shape[-1]) for model, own in zip(models, found, strict=True)]
    stack = lambda parts: [np.stack(part) for part in zip(*parts, strict=True)]  # noqa: E731
    return Found(*stack(found), *stack(classifiers))


def features_of(model: LoadedModel, images: np.ndarray) -> np.ndarray:
    """What the model's classifier sees of stored examples ``[b, ...]``: float32 ``[b, f]``."""
    parts = [images[at : at + AT_ONCE] for at in range(0, len(images), AT_ONCE)]
    return np.concatenate([model.features(part) for part in parts])


def classifier_of(model: LoadedModel, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The linear map from ``[b, f]`` features to logits: its kernel ``[f, c]`` and its bias ``[c]``."""
    rows = jnp.concatenate([jnp.zeros((1, width)), jnp.eye(width)])
    logits = np.asarray(model.network.apply(model.variables, rows, method="classify"))
    return logits[1:] - logits[:1], logits[0]
