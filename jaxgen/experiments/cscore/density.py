"""Kernel densities and local outlier factors of a C-score job's examples, of pixels and of its models' features."""

import numpy as np

from jaxgen.experiments.cscore.job import run_group_name
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.runs.saved_models import load_model
from jaxgen.scores.density import kernel_density
from jaxgen.scores.outlier_factor import outlier_factors
from jaxgen.types import Dataset

# Models whose features are used, and examples in a forward pass.
NUM_MODELS = 5
BATCH_SIZE = 500
# By their names in ``--track``, after pixel_ or feature_.
ESTIMATES = {"density": kernel_density, "lof": outlier_factors}


def densities(dataset: Dataset, program: Program, number: int) -> dict[str, np.ndarray]:
    """The densities and outlier factors that ``--track`` names, for one of the program's settings, by key of
    ``cscores.npz``.

    Those of features are means over the first `NUM_MODELS` models of the largest ratio that did not diverge, with
    standard errors; there are none if all did.
    """
    requested, arrays, classes = {*program.settings[number].spec.tracking.track}, {}, dataset.num_classes
    for name, estimate in ESTIMATES.items():
        if f"pixel_{name}" in requested:
            pixels = dataset.images.reshape(len(dataset.labels), -1) * np.float32(dataset.scale)
            found = estimate(pixels, dataset.labels, classes)._asdict()
            arrays |= {f"pixel_{field}": values for field, values in found.items()}
    if requested & {f"feature_{name}" for name in ESTIMATES}:
        features = features_of_models(dataset, program, number)
    for name, estimate in ESTIMATES.items():
        if f"feature_{name}" in requested and features:
            by_model = [estimate(each, dataset.labels, classes)._asdict() for each in features]
            for field in by_model[0]:
                values = np.stack([found[field] for found in by_model])
                arrays[f"feature_{field}"] = values.mean(0)
                if len(values) > 1:
                    stderr = values.std(0, ddof=1) / np.sqrt(len(values)).astype(np.float32)
                    arrays[f"feature_{field}_stderr"] = stderr
    return arrays


def features_of_models(dataset: Dataset, program: Program, number: int) -> list[np.ndarray]:
    """Inputs of the last layer for all examples, one array ``[n, f]`` per model; diverged models are left out."""
    subsets, folder = program.settings[number].spec.subsets, model_folder(dataset, program)
    run_group, features = run_group_name(program, max(subsets.subset_ratios)), []
    for run in range(subsets.num_runs):
        model = load_model(folder.path(run_group, run * len(program.settings) + number))
        parts = [dataset.images[at : at + BATCH_SIZE] for at in range(0, len(dataset.labels), BATCH_SIZE)]
        inputs = np.concatenate([model.features(part) for part in parts])
        if np.isfinite(inputs).all():
            features.append(inputs)
        if len(features) == NUM_MODELS:
            break
    return features
