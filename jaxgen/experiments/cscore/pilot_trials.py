"""What a pilot tries: networks that suit the data, each at several learning rates, and what they learn."""

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
from jaxgen.types import Dataset, Scores

# Learning rates that are tried, with momentum and with adaptive steps.
RATES, ADAPTIVE_RATES = (0.003, 0.01, 0.03, 0.1), (0.0003, 0.001, 0.003, 0.01)
# Examples of a pilot, epochs, and how many of the rates: of perceptrons, and of convolutional networks.
MOST_EXAMPLES, MOST_EPOCHS = {"mlp": 4000, "convnet": 1200}, {"mlp": 40, "convnet": 12}
NUM_RATES = {"mlp": 4, "convnet": 3}
# Hidden layers of a perceptron by the number of its inputs.
MLP_SIZES = ((256, (128, 64)), (1024, (256, 128)), (math.inf, (512, 256)))
# Examples in a step by the size of the largest subset.
BATCH_SIZES = ((2000, 16), (math.inf, 32))
# Numbers of epochs after which held-out examples are examined, and the least that is chosen.
LOOKS, FEWEST_EPOCHS = 7, 5
# Images of a smaller side, or a larger one, suit no convolutional network of those that train by the hundred.
LEAST_SIDE, MOST_SIDE = 12, 96


class Trial(NamedTuple):
    """One network at one learning rate.

    Attributes:
      flags: by name.
      epochs: numbers of epochs, ``[e]``.
      correct: the share of models without an example that are right on it after so many epochs, ``[e, n]``.
    """

    flags: dict[str, Any]
    epochs: np.ndarray
    correct: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """Held-out accuracy ``[e]``."""
        return self.correct.mean(1)

    def long_enough(self) -> np.ndarray:
        """Which numbers of epochs may be chosen, ``[e]``."""
        return self.epochs >= min(FEWEST_EPOCHS, self.epochs[-1])

    def best(self) -> float:
        """The highest held-out accuracy after any number of epochs that may be chosen."""
        return float(self.accuracy[self.long_enough()].max())


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
    return rates[-NUM_RATES[kind_of(flags)] :]


def pilot_examples(dataset: Dataset, seed: int, count: int) -> Dataset:
    """A random part of the data set."""
    order = jax.random.permutation(job_key(seed, JobDraw.PILOT), len(dataset.labels))
    return take_rows(dataset, np.sort(np.asarray(order)[:count]))


def run_trials(part: Dataset, spec: Any, flags: Mapping[str, Any], given: set[str], session: Session) -> list[Trial]:
    """Trains a network at all rates.

    Args:
      part: the examples of the pilot.
      spec: of the command.
      flags: of the network.
      given: flags that the user gave.
      session: resume command.

    Raises:
      UserError: if all models diverged.
    """
    base = cscore_spec(spec)
    lists = {name: flag_values(base)[name][0] for name in sweep.swept(base)}
    epochs = alternatives(spec.train.epochs)[0] if "epochs" in given else MOST_EPOCHS[kind_of(flags)]
    fixed = {
        "subset_ratios": (0.5,),
        "num_runs": 2,
        "target_reliability": 0.0,
        "design": "balanced",
        "track": ("curves",),
        "heldout_epochs": LOOKS,
        "influence_pairs": 0,
        "export_runs": "",
        "save_models": False,
        "out": os.path.join(spec.out, "pilot", flags["model"]),
    }
    tried = {**flags, "learning_rate": rates_of(spec, flags, given), "epochs": epochs}
    trial_spec = replace_flags(base, {**lists, **tried, **fixed})
    try:
        results = score_settings(part, trial_spec, Session(session.resume))
    except Diverged:
        raise Diverged(f"--model={flags['model']}: all models of the pilot diverged; give --learning_rate") from None
    return [
        read_trial(scores, {**flags, "learning_rate": setting.spec.train.learning_rate}, part)
        for setting, scores in results
        if "curve_epochs" in scores.more
    ]


def read_trial(scores: Scores, flags: dict[str, Any], part: Dataset) -> Trial:
    """What a network has learnt by the scores of its pilot; examples that no finite model held out count as wrong."""
    held_out = scores.more["curve_correct"][1].astype(np.float64)
    examined = np.isfinite(held_out).any(1)
    return Trial(flags, scores.more["curve_epochs"][examined], np.nan_to_num(held_out[examined]))
