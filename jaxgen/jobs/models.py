"""The folder of a job's models, and their size."""

import pathlib

import jax
import numpy as np

from jaxgen.config.fields import flag_values
from jaxgen.jobs.program import Program, make_network
from jaxgen.models import has_cosine, make_model, variable_shapes
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.types import Dataset


def model_folder(dataset: Dataset, program: Program) -> ModelFolder:
    """The folder of the program's models, with the description that loading one needs."""
    model = {name: value for name, value in flag_values(program.spec.model).items() if name != "hidden"}
    description = {
        "model": model,
        "hidden": program.spec.model.hidden,
        "shape": dataset.images.shape[1:],
        "class_names": list(dataset.class_names),
        "scale": dataset.scale,
        "whiten": dataset.whiten,
        "dtype": str(dataset.images.dtype),
        "shift": np.asarray(dataset.shift, np.float64).tolist(),
        "spread": np.asarray(dataset.spread, np.float64).tolist(),
        "precision": program.spec.compute.precision,
    }
    # What has neither is described as before there was either.
    description |= {"cosine": True} if has_cosine(make_network(dataset, program)) else {}
    description |= {"channel_moments": dataset.channel_moments} if dataset.channel_moments else {}
    description |= {} if dataset.fill is None else {"fill": dataset.fill.tolist()}
    names = [setting.name for setting in program.settings]
    return ModelFolder(pathlib.Path(program.spec.out) / "models", description, names)


def model_bytes(dataset: Dataset, program: Program) -> int:
    """Bytes of the weights and batch statistics of one model."""
    shape = dataset.images.shape[1:]
    shapes = variable_shapes(make_model(program.spec.model, dataset.num_classes, shape), shape)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
