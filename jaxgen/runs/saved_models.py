"""Every trained model in a file of its own: its weights, and all that is needed to predict with it again."""

import copy
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
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
from jaxgen.models import make_model, variable_shapes
from jaxgen.models.layers import EVAL, Kernels, activation_dtype, product_precision
from jaxgen.transforms.pixels import whiten_images

DESCRIPTION = "description"


class ModelFolder:
    """Where the models of one program are kept: ``FOLDER/<cell>/<run>.npz``, or ``FOLDER/<cell>/<setting>/<run>.npz``.

    Args:
      folder: need not exist.
      description: of the models: `make_model`'s arguments and the data's classes and scale, as JSON values.
      settings: names of the program's s settings; the cell's number i is run i div s of setting i mod s.
    """

    def __init__(self, folder: pathlib.Path, description: Mapping[str, Any], settings: Sequence[str] = ("",)):
        self.folder, self.description, self.settings = folder, dict(description), settings

    def path(self, run_group: str, number: int) -> pathlib.Path:
        """The file of one model."""
        run, setting = divmod(number, len(self.settings))
        folder = self.folder / run_group / self.settings[setting] if len(self.settings) > 1 else self.folder / run_group
        return folder / f"{run:06d}.npz"

    def write(self, run_group: str, number: int, weights: Any) -> None:
        """Keeps a model's weights: nested dictionaries of arrays, ``params`` and ``stats``."""
        run, setting = divmod(number, len(self.settings))
        arrays = flax.traverse_util.flatten_dict(weights._asdict(), sep="/")
        text = json.dumps({**self.description, "cell": run_group, "setting": self.settings[setting], "run": run})
        write_npz(self.path(run_group, number), {**arrays, DESCRIPTION: np.asarray(text)})

    def lacking(self, run_group: str, numbers: Iterable[int]) -> list[int]:
        """Which of the cell's models are not there."""
        return [number for number in numbers if not self.path(run_group, number).exists()]


class LoadedModel:
    """A trained model.

    Attributes:
      network: the Flax module.
      variables: its weights, as ``network.apply`` takes them.
      description: cell, setting, run, model flags, class names, scale, precision.
    """

    def __init__(self, network: nn.Module, variables: Mapping[str, Any], description: Mapping[str, Any]):
        self.network, self.variables, self.description = network, variables, description
        self._apply = jax.jit(lambda variables, inputs: network.apply(variables, inputs, EVAL))
        self._look = jax.jit(lambda variables, inputs: network.apply(variables, inputs, EVAL, method="features"))
        # As it was examined when it was trained.
        self._precision = product_precision(description["precision"])

    def __repr__(self) -> str:
        known = self.description
        shape = "x".join(map(str, known["shape"]))
        return f"{known['model']['model']} on {shape}, {len(known['class_names'])} classes, run {known['run']}"

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits ``[b, c]`` of examples ``[b, ...]``, in the type and on the scale of the data trained on.

        Raises:
          UserError: for examples of another shape, or of another type than the uint8 trained on.
        """
        inputs = self.as_seen(self._as_stored(np.asarray(images)))
        with jax.default_matmul_precision(self._precision):
            return np.asarray(self._apply(self.variables, inputs), np.float32)

    def features(self, stored: np.ndarray) -> np.ndarray:
        """What the classifier sees, float32 ``[b, f]``, of examples ``[b, ...]`` as training saw them stored."""
        with jax.default_matmul_precision(self._precision):
            return np.asarray(self._look(self.variables, self.as_seen(stored)), np.float32)

    def with_variables(self, variables: Mapping[str, Any]) -> "LoadedModel":
        """The same network with other weights; what is compiled is shared."""
        other = copy.copy(self)
        other.variables = variables
        return other

    def as_seen(self, stored: np.ndarray) -> np.ndarray:
        """Stored examples as the network sees them."""
        inputs = stored.astype(np.float32) * np.float32(self.description["scale"])
        return whiten_images(inputs) if self.description["whiten"] else inputs

    def _as_stored(self, images: np.ndarray) -> np.ndarray:
        """Examples as training saw them stored: float32 ``[b, ...]``."""
        shape, known = tuple(self.description["shape"]), self.description
        grey = len(shape) == 3 and shape[-1] == 1
        if images.shape[1:] != shape and not (grey and images.shape[1:] == shape[:-1]):
            needed = ", ".join(map(str, shape))
            raise UserError(f"predict: the examples have shape {images.shape}; needed: [any number, {needed}]")
        images = images.reshape(len(images), *shape)
        if known["dtype"] == "uint8":
            if images.dtype.kind not in "biuf" or not np.array_equal(images, images.astype(np.uint8)):
                raise UserError(
                    f"predict: the model was trained on whole numbers from 0 to 255, and these are {images.dtype} from "
                    f"{images.min():g} to {images.max():g}; give them as they were given for training"
                )
            return images.astype(np.float32)
        shift, spread = (np.asarray(known[name]) for name in ("shift", "spread"))
        return ((images - shift) / spread).astype(np.float32)


def load_model(path: str | pathlib.Path) -> LoadedModel:
    """A model that ``--save_models`` has kept.

    Args:
      path: such as ``runs/cscore_digits/models/ratio_0.5/000003.npz``.

    Raises:
      UserError: if it is no such file.
    """
    try:
        with ArrayFile(path) as file:
            arrays = dict(file)
        description = json.loads(str(arrays.pop(DESCRIPTION)))
        spec = spec_from_values(ModelSpec, {**description["model"], "hidden": tuple(description["hidden"])})
        kernels = Kernels((), "plain", activation_dtype(description["precision"]))
        network = make_model(spec, len(description["class_names"]), tuple(description["shape"]), kernels)
        weights = flax.traverse_util.unflatten_dict(arrays, sep="/")
        variables = {"params": weights["params"]} | ({"batch_stats": weights["stats"]} if "stats" in weights else {})
        check_weights(network, variables, description)
        return LoadedModel(network, variables, description)
    except (*UNREADABLE, ArithmeticError, UserError) as error:
        raise UserError(f"{path}: is no model kept by --save_models ({error})") from None


def check_weights(network: nn.Module, variables: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Holds weights against those that the network has, and what prediction needs of the description.

    Raises:
      ValueError, KeyError, TypeError: where they do not fit.
    """
    wanted = jax.tree.map(lambda leaf: leaf.shape, variable_shapes(network, tuple(description["shape"])))
    if jax.tree.map(np.shape, variables) != wanted:
        raise ValueError("its weights are not those of its network")
    if any(leaf.dtype.kind not in "fV" for leaf in jax.tree.leaves(variables)):
        raise ValueError("its weights are no numbers")
    for name in ("scale", "shift", "spread"):
        np.asarray(description[name], np.float32)
    if not all(isinstance(description[name], str) for name in ("dtype", "precision")):
        raise TypeError("its description does not tell the types")
    int(description["run"]), bool(description["whiten"])
