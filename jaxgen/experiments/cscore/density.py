"""Kernel densities among a C-score job's examples: in pixels, and in what the last layers of its models see."""

import numpy as np

from jaxgen.experiments.cscore.job import run_group_name
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.runs.saved_models import load_model
from jaxgen.scores.density import Density, kernel_density
from jaxgen.types import Dataset

# Models whose features are looked at, and the examples that one sees together.
MODELS = 5
AT_ONCE = 500


def densities(dataset: Dataset, program: Program, number: int) -> dict[str, np.ndarray]:
    """The densities that ``--track`` asks for, by their keys, of one of the program's settings.

    Those of features are means over the first `MODELS` models of the largest ratio, with the error of that mean.
    """
    spec = program.settings[number].spec
    asked, found = {*spec.tracking.track}, {}
    if "pixel_density" in asked:
        pixels = dataset.images.reshape(len(dataset.labels), -1) * np.float32(dataset.scale)
        density = kernel_density(pixels, dataset.labels, dataset.num_classes)
        found |= {f"pixel_{name}": values for name, values in density._asdict().items()}
    if "feature_density" in asked:
        several = [
            kernel_density(features, dataset.labels, dataset.num_classes)
            for features in features_of_models(dataset, program, number)
        ]
        for name in Density._fields:
            values = np.stack([getattr(each, name) for each in several])
            found[f"feature_{name}"] = values.mean(0)
            if len(values) > 1:
                found[f"feature_{name}_stderr"] = values.std(0, ddof=1) / np.sqrt(len(values)).astype(np.float32)
    return found


def features_of_models(dataset: Dataset, program: Program, number: int) -> list[np.ndarray]:
    """What the last layer of each model looked at sees of all examples, ``[n, f]`` each."""
    subsets, folder = program.settings[number].spec.subsets, model_folder(dataset, program)
    run_group, found = run_group_name(program, max(subsets.subset_ratios)), []
    for run in range(min(MODELS, subsets.num_runs)):
        model = load_model(folder.path(run_group, run * len(program.settings) + number))
        parts = [dataset.images[at : at + AT_ONCE] for at in range(0, len(dataset.labels), AT_ONCE)]
        found.append(np.concatenate([model.features(part) for part in parts]))
    return found
