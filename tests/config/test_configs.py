"""Every config is a recipe: it parses, and its head says what it asks, how to run it and what came out."""

import pathlib
import re

import pytest

from jaxgen import config as spec
from jaxgen.config import flags
from jaxgen.config.sweep import expand
from jaxgen.experiments.randomization.presets import settings_of
from jaxgen.models import make_model

ROOT = pathlib.Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
SPECS = {
    "cscore": spec.CscoreSpec,
    "mislabelled": spec.MislabelledSpec,
    "randomization": spec.RandomizationSpec,
    "oversampling": spec.OversamplingSpec,
    "robustness": spec.RobustnessSpec,
    "lnr": spec.LnrSpec,
}


def parse(path):
    return flags.parse(SPECS[path.name.split("_")[0]], [f"--flagfile={path}"])


def test_there_are_configs():
    assert len(CONFIGS) >= 3


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_parses_and_names_a_model(path):
    chosen = parse(path)
    settings = expand(chosen)
    if path.name.startswith("randomization"):
        settings = settings_of(chosen, True, ())
    for setting in settings:
        make_model(setting.spec.model, 10, (32, 32, 3))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_head_holds_question_command_and_result_with_n(path):
    head = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert "?" in head
    assert f"--flagfile=configs/{path.name}" in head
    assert re.search(r"±.*n = \d", head, re.DOTALL), "expected result with n and spread"


def test_the_digits_config_is_the_default():
    chosen = parse(ROOT / "configs" / "cscore_digits.cfg")
    assert chosen == spec.CscoreSpec()


def test_the_mnist_config_is_the_published_protocol():
    chosen = parse(ROOT / "configs" / "cscore_mnist.cfg")
    assert chosen.model.hidden == (512, 256)
    train = chosen.train
    assert (train.epochs, train.batch_size, train.learning_rate, train.momentum) == (10, 128, 0.1, 0.9)
    assert (train.optimizer, train.schedule) == ("sgd", "constant")
    assert (chosen.regularization, chosen.augmentation) == (spec.RegularizationSpec(), spec.AugmentationSpec())
    assert chosen.subsets.subset_ratios == tuple(i / 10 for i in range(1, 10))
    assert chosen.subsets.num_runs == 200
