"""Kernel densities of a C-score job's examples, in pixel space and in the feature space of its models."""

import numpy as np

from jaxgen.experiments.cscore.job import run_group_name
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.runs.saved_models import load_model
from jaxgen.scores.density import Density, kernel_density
from jaxgen.types import Dataset

# Models whose features are used, and examples in a forward pass.
NUM_MODELS = 5
BATCH_SIZE = 500


def densities(dataset: Dataset, program: Program, number: int) -> dict[str, np.ndarray]:
    """The densities requested by ``--track`` for one of the program's settings, by key of ``cscores.npz``.

    Feature densities are means over the first `NUM_MODELS` models of the largest ratio, with standard errors.
    """
    spec = program.settings[number].spec
    requested, arrays = {*spec.tracking.track}, {}
    if "pixel_density" in requested:
        pixels = dataset.images.reshape(len(dataset.labels), -1) * np.float32(dataset.scale)
        density = kernel_density(pixels, dataset.labels, dataset.num_classes)
        arrays |= {f"pixel_{name}": values for name, values in density._asdict().items()}
    if "feature_density" in requested:
        model_densities = [
            kernel_density(features, dataset.labels, dataset.num_classes)
            for features in features_of_models(dataset, program, number)
        ]
        for name in Density._fields:
            values = np.stack([getattr(model_density, name) for model_density in model_densities])
            arrays[f"feature_{name}"] = values.mean(0)
            if len(values) > 1:
                arrays[f"feature_{name}_stderr"] = values.std(0, ddof=1) / np.sqrt(len(values)).astype(np.float32)
    return arrays


def features_of_models(dataset: Dataset, program: Program, number: int) -> list[np.ndarray]:
    """Inputs of the last layer for all examples, one array ``[n, f]`` per model."""
    subsets, folder = program.settings[number].spec.subsets, model_folder(dataset, program)
    run_group, features = run_group_name(program, max(subsets.subset_ratios)), []
    for run in range(min(NUM_MODELS, subsets.num_runs)):
        model = load_model(folder.path(run_group, run * len(program.settings) + number))
        parts = [dataset.images[at : at + BATCH_SIZE] for at in range(0, len(dataset.labels), BATCH_SIZE)]
        features.append(np.concatenate([model.features(part) for part in parts]))
    return features
