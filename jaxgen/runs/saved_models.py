"""Saved models: one file each, with the weights and everything needed to predict with them."""

import copy
import functools
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np

from jaxgen.config import ModelSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.io.writing import write_npz
from jaxgen.models import make_model, variable_shapes, with_cosine_classifier
from jaxgen.models.layers import EVAL, ComputeConfig, activation_dtype, product_precision
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.transforms.pixels import make_normalization
from jaxgen.types import ChannelMoments

# Array of a model's file that holds its description as JSON text.
DESCRIPTION = "description"


class ModelFolder:
    """The saved models of one program.

    Files are ``FOLDER/<run group>/<run>.npz``, or ``FOLDER/<run group>/<setting>/<run>.npz`` if the program has several
    settings.

    Args:
      folder: need not exist.
      description: common to all models: `make_model`'s arguments, class names and scale of the data, as JSON values.
      settings: names of the program's s settings; number i of a run group is run i div s of setting i mod s.
    """

    def __init__(self, folder: pathlib.Path, description: Mapping[str, Any], settings: Sequence[str] = ("",)):
        self.folder, self.description, self.settings = folder, dict(description), settings

    def path(self, run_group: str, number: int) -> pathlib.Path:
        """Path of a model's file."""
        run, setting = divmod(number, len(self.settings))
        folder = self.folder / run_group / self.settings[setting] if len(self.settings) > 1 else self.folder / run_group
        return folder / f"{run:06d}.npz"

    def write(self, run_group: str, number: int, weights: Any) -> None:
        """Writes a model.

        Args:
          run_group: of the model.
          number: in its run group.
          weights: a named tuple of nested dictionaries of arrays, ``params`` and ``stats``.
        """
        run, setting = divmod(number, len(self.settings))
        arrays = flax.traverse_util.flatten_dict(weights._asdict(), sep="/")
        text = json.dumps({**self.description, "cell": run_group, "setting": self.settings[setting], "run": run})
        write_npz(self.path(run_group, number), {**arrays, DESCRIPTION: np.asarray(text)})

    def missing(self, run_group: str, numbers: Iterable[int]) -> list[int]:
        """Those numbers of the run group that have no file."""
        return [number for number in numbers if not self.path(run_group, number).exists()]


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply_network(network: nn.Module, variables: Mapping[str, Any], inputs: jax.Array, method: str | None = None):
    """Applies a network to scaled and normalized inputs ``[b, ...]``; compiled once for all models of one network."""
    return network.apply(variables, inputs, EVAL, method=method)


class LoadedModel:
    """A trained model.

    Attributes:
      network: the Flax module.
      variables: its weights, as ``network.apply`` takes them.
      description: run group (``cell``), setting, run, model flags, class names, scale, precision.
    """

    def __init__(self, network: nn.Module, variables: Mapping[str, Any], description: Mapping[str, Any]):
        self.network, self.variables, self.description = network, variables, description
        self._normalize = normalization_of(description)
        # The precision that it was evaluated with after training.
        self._precision = product_precision(description["precision"])

    def __repr__(self) -> str:
        description = self.description
        shape, num_classes = "x".join(map(str, description["shape"])), len(description["class_names"])
        return f"{description['model']['model']} on {shape}, {num_classes} classes, run {description['run']}"

    @fixed_settings()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Returns logits float32 ``[b, c]``.

        Args:
          images: examples ``[b, ...]``, in the type and on the scale of the training data.

        Raises:
          UserError: if they have another shape, are no whole numbers from 0 to 255 where training images were uint8, or
            hold what is no number, infinite, or missing where nothing was in training.
        """
        inputs = self.network_inputs(self._as_stored(np.asarray(images)))
        with jax.default_matmul_precision(self._precision):
            return np.asarray(apply_network(self.network, self.variables, inputs), np.float32)

    @fixed_settings()
    def features(self, stored: np.ndarray) -> np.ndarray:
        """Returns the last layer's inputs, float32 ``[b, f]``, for examples ``[b, ...]`` as stored for training."""
        with jax.default_matmul_precision(self._precision):
            inputs = self.network_inputs(stored)
            return np.asarray(apply_network(self.network, self.variables, inputs, "features"), np.float32)

    def with_variables(self, variables: Mapping[str, Any]) -> "LoadedModel":
        """Returns the model with other weights."""
        model = copy.copy(self)
        model.variables = variables
        return model

    def network_inputs(self, stored: np.ndarray) -> np.ndarray:
        """Scales, and normalizes as training did, examples ``[b, ...]`` as stored for training; float32."""
        return self.normalize(self.scaled(stored))

    def scaled(self, stored: np.ndarray) -> np.ndarray:
        """Examples ``[b, ...]`` as stored for training, scaled; float32."""
        return stored.astype(np.float32) * np.float32(self.description["scale"])

    def normalize(self, inputs: np.ndarray) -> np.ndarray:
        """Normalizes scaled and perhaps augmented inputs ``[b, ...]`` as training did."""
        return self._normalize(inputs) if self._normalize else inputs

    def _as_stored(self, images: np.ndarray) -> np.ndarray:
        """Converts a user's examples to those stored for training: float32 ``[b, ...]``."""
        shape, description = tuple(self.description["shape"]), self.description
        is_gray = len(shape) == 3 and shape[-1] == 1
        if images.shape[1:] != shape and not (is_gray and images.shape[1:] == shape[:-1]):
            needed = ", ".join(map(str, shape))
            raise UserError(f"predict: the examples have shape {images.shape}; needed: [any number, {needed}]")
        images = images.reshape(len(images), *shape)
        if description["dtype"] == "uint8":
            if images.dtype.kind not in "biuf" or not np.array_equal(images, images.astype(np.uint8)):
                raise UserError(
                    f"predict: the model was trained on whole numbers from 0 to 255, and these are {images.dtype} from "
                    f"{images.min():g} to {images.max():g}; give them as they were given for training"
                )
            return images.astype(np.float32)
        try:
            images = images.astype(np.float64, copy=False)
        except (TypeError, ValueError):
            raise UserError("predict: the examples are no numbers; give them as they were given for training") from None
        if np.isinf(images).any():
            raise UserError("predict: some values are infinite; mend them")
        if np.isnan(images).any():
            if "fill" not in description:
                raise UserError("predict: some values are missing (NaN), and none were in training; fill them")
            images = np.where(np.isnan(images), np.asarray(description["fill"]), images)
        shift, spread = (np.asarray(description[name]) for name in ("shift", "spread"))
        # Columns that were constant in training are 0.
        return ((images - shift) / np.where(spread > 0, spread, np.inf)).astype(np.float32)


def normalization_of(description: Mapping[str, Any]) -> Callable[[jax.Array], jax.Array] | None:
    """The normalization that a model was trained with; those saved before channels could be normalized lack them."""
    moments = description.get("channel_moments")
    return make_normalization(
        whiten=bool(description["whiten"]),
        channel_moments=ChannelMoments(*map(tuple, moments)) if moments else None,
    )


@fixed_settings()
def load_model(path: str | pathlib.Path) -> LoadedModel:
    """Loads a model saved by ``--save_models``.

    Args:
      path: such as ``runs/cscore_digits/models/ratio_0.5/000003.npz``.

    Raises:
      UserError: if the file is missing, damaged or not a saved model.
    """
    try:
        with ArrayFile(path) as file:
            arrays = dict(file)
        description = json.loads(str(arrays.pop(DESCRIPTION)))
        spec = spec_from_values(ModelSpec, {**description["model"], "hidden": tuple(description["hidden"])})
        compute = ComputeConfig((), "plain", activation_dtype(description["precision"]))
        network = make_model(spec, len(description["class_names"]), tuple(description["shape"]), compute)
        network = with_cosine_classifier(network) if description.get("cosine") else network
        weights = flax.traverse_util.unflatten_dict(arrays, sep="/")
        variables = {"params": weights["params"]} | ({"batch_stats": weights["stats"]} if "stats" in weights else {})
        check_weights(network, variables, description)
        return LoadedModel(network, variables, description)
    except (*UNREADABLE, ArithmeticError, UserError) as error:
        raise UserError(f"{path}: is no model kept by --save_models ({error})") from None


def check_weights(network: nn.Module, variables: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Checks that weights fit the network, and that the description has what prediction needs.

    Raises:
      ValueError, KeyError, TypeError: if not.
    """
    expected = jax.tree.map(lambda leaf: leaf.shape, variable_shapes(network, tuple(description["shape"])))
    if jax.tree.map(np.shape, variables) != expected:
        raise ValueError("its weights are not those of its network")
    if any(leaf.dtype.kind not in "fV" for leaf in jax.tree.leaves(variables)):
        raise ValueError("its weights are no numbers")
    for name in ("scale", "shift", "spread"):
        np.asarray(description[name], np.float32)
    if "fill" in description and np.shape(np.asarray(description["fill"], np.float32)) != tuple(description["shape"]):
        raise ValueError("its description does not tell what fills each column")
    if not all(isinstance(description[name], str) for name in ("dtype", "precision")):
        raise TypeError("its description does not tell the types")
    int(description["run"]), bool(description["whiten"])
    if description.get("channel_moments"):
        mean, deviation = np.asarray(description["channel_moments"], np.float32)
        if not mean.shape == deviation.shape == (description["shape"][-1],):
            raise ValueError("its normalization is not one of its channels")
