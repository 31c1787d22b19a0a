"""What a pilot tries: networks that suit the data, at several learning rates and numbers of epochs; what they learn."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, replace_flags
from jaxgen.config.sweep import alternatives
from jaxgen.data.parts import take_rows
from jaxgen.errors import Diverged, UserError
from jaxgen.experiments.cscore.job import cscore_spec
from jaxgen.experiments.cscore.run import score_settings
from jaxgen.jobs.session import Session
from jaxgen.keys import JobDraw, job_key
from jaxgen.models import find_entry
from jaxgen.types import Dataset

# Of perceptrons and of convolutional networks: examples of a pilot, numbers of epochs, and learning rates with momentum
# and with adaptive steps.
MOST_EXAMPLES, EPOCHS = {"mlp": 4000, "convnet": 600}, {"mlp": (5, 10, 20, 40), "convnet": (6, 12)}
RATES = {"mlp": (0.003, 0.01, 0.03, 0.1), "convnet": (0.01, 0.03)}
ADAPTIVE_RATES = {"mlp": (0.0003, 0.001, 0.003, 0.01), "convnet": (0.001, 0.003)}
# It decays to 0, which makes what is reached far less a matter of chance than a constant rate does.
SCHEDULE = "cosine"
# More epochs are tried as long as they gain more than this.
LEAST_GAIN = 0.002
# Hidden layers of a perceptron by the number of its inputs.
MLP_SIZES = ((256, (128, 64)), (1024, (256, 128)), (math.inf, (512, 256)))
# Examples in a step by the size of the largest subset.
BATCH_SIZES = ((2000, 16), (math.inf, 32))
# Images of a smaller side, or a larger one, suit no convolutional network of those that train by the hundred.
LEAST_SIDE, MOST_SIDE = 12, 96


class Trial(NamedTuple):
    """One network at one learning rate for one number of epochs.

    Attributes:
      flags: by name, ``learning_rate`` and ``epochs`` among them.
      correct: the share of models without an example that are right on it, ``[n]``.
    """

    flags: dict[str, Any]
    correct: np.ndarray

    @property
    def accuracy(self) -> float:
        """Held-out accuracy."""
        return float(self.correct.mean())


def list_networks(dataset: Dataset, spec: Any, given: set[str]) -> list[dict[str, Any]]:
    """Flags of the networks that suit the data and are not ruled out by given flags, the fastest first.

    Raises:
      UserError: for images that are too large, unless a network is given.
    """
    shape = dataset.images.shape[1:]
    size, batch = math.prod(shape), {"batch_size": batch_size_of(dataset, spec)}
    mlp = {"model": "mlp", "hidden": next(hidden for most, hidden in MLP_SIZES if size <= most), **batch}
    if "model" in given:
        return [without_given({"model": alternatives(spec.model.model)[0], **batch}, given, keep="model")]
    if not dataset.has_images or min(shape[:2]) < LEAST_SIDE or "hidden" in given:
        return [without_given(mlp, given, keep="model")]
    if max(shape[:2]) > MOST_SIDE:
        raise UserError(
            f"--pilot: images of {shape[0]}x{shape[1]} pixels are too large for hundreds of networks to be trained; "
            "give --image_size=32 (or 64), or the output of a pretrained network for each image as npz:FILE, or choose "
            "--model yourself"
        )
    convnet = without_given({"model": "convnet", "norm": "batch", **batch}, given, keep="model")
    return [convnet] if shape[2] > 1 else [without_given(mlp, given, keep="model"), convnet]


def without_given(flags: Mapping[str, Any], given: set[str], keep: str) -> dict[str, Any]:
    """The flags that are not given, and `keep`."""
    return {name: value for name, value in flags.items() if name == keep or name not in given}


def batch_size_of(dataset: Dataset, spec: Any) -> int:
    """Examples in a step: the more, the more a subset has."""
    size = max(spec.subsets.subset_ratios) * len(dataset.labels)
    return next(batch for most, batch in BATCH_SIZES if size <= most)


def kind_of(flags: Mapping[str, Any]) -> str:
    """Whether a network is as fast as perceptrons or as convolutional networks."""
    return "convnet" if find_entry(flags["model"]).least_side else "mlp"


def most_examples(dataset: Dataset, flags: Mapping[str, Any]) -> int:
    """Examples of a pilot with this network."""
    return min(len(dataset.labels), MOST_EXAMPLES[kind_of(flags)])


def rates_of(spec: Any, flags: Mapping[str, Any], given: set[str]) -> tuple[float, ...]:
    """The learning rates that a network is tried at."""
    if "learning_rate" in given:
        return (alternatives(spec.train.learning_rate)[0],)
    rates = ADAPTIVE_RATES if alternatives(spec.train.optimizer)[0] in ("adam", "adamw", "rmsprop") else RATES
    return rates[kind_of(flags)]


def pilot_examples(dataset: Dataset, seed: int, count: int) -> Dataset:
    """A random part of the data set."""
    order = jax.random.permutation(job_key(seed, JobDraw.PILOT), len(dataset.labels))
    return take_rows(dataset, np.sort(np.asarray(order)[:count]))


def run_trials(part: Dataset, spec: Any, flags: Mapping[str, Any], given: set[str], session: Session) -> list[Trial]:
    """Trains a network at all rates, for growing numbers of epochs as long as these gain.

    Args:
      part: the examples of the pilot.
      spec: of the command.
      flags: of the network.
      given: flags that the user gave.
      session: resume command.

    Raises:
      UserError: if all models diverged.
    """
    all_epochs = (alternatives(spec.train.epochs)[0],) if "epochs" in given else EPOCHS[kind_of(flags)]
    tried = {**flags, "learning_rate": rates_of(spec, flags, given)}
    if "schedule" not in given:
        tried["schedule"] = SCHEDULE
    trials, best = [], 0.0
    for epochs in all_epochs:
        trials += run_rates(part, spec, {**tried, "epochs": epochs}, session)
        best, before = max(trial.accuracy for trial in trials), best
        if best - before <= LEAST_GAIN:
            break
    return trials


def run_rates(part: Dataset, spec: Any, tried: Mapping[str, Any], session: Session) -> list[Trial]:
    """Trains a network at all rates for one number of epochs; arguments and errors are those of `run_trials`."""
    base = cscore_spec(spec)
    lists = {name: flag_values(base)[name][0] for name in sweep.swept(base)}
    fixed = {
        "subset_ratios": (0.5,),
        "num_runs": 2,
        "target_reliability": 0.0,
        "design": "balanced",
        "track": ("none",),
        "influence_pairs": 0,
        "export_runs": "",
        "save_models": False,
        "out": os.path.join(spec.out, "pilot", f"{tried['model']}_{tried['epochs']}"),
    }
    try:
        results = score_settings(part, replace_flags(base, {**lists, **tried, **fixed}), Session(session.resume))
    except Diverged:
        raise Diverged(f"--model={tried['model']}: all models of the pilot diverged; give --learning_rate") from None
    return [
        # Examples that no finite model held out count as wrong.
        Trial({**tried, "learning_rate": setting.spec.train.learning_rate}, np.nan_to_num(scores.scores))
        for setting, scores in results
    ]
