"""What takes minutes of training: errors checked against repeated ensembles, kills at random, results as published."""

import pathlib
import random
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxgen import estimate_scores, load_scores
from support.cscore_jobs import scores_equal

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[3]
DIGITS_HEAD = (ROOT / "configs" / "cscore_digits.cfg").read_text().replace("\n# ", " ")


@pytest.mark.parametrize("design", ["balanced", "independent", "nested"])
def test_the_standard_error_is_the_spread_between_ensembles_really_trained(design):
    digits = load_digits()
    ensembles = [
        estimate_scores(
            digits.images[:600] / 16,
            digits.target[:600],
            subset_ratios=(0.5, 0.8),
            num_runs=20,
            design=design,
            hidden=(32,),
            epochs=8,
            width=20,
            seed=seed,
        )
        for seed in range(24)
    ]
    errors = np.asarray([scores.stderr for scores in ensembles])
    # Independent draws leave some examples of some ensembles without a score or an error.
    values = np.where(np.isfinite(errors), [scores.scores for scores in ensembles], np.nan)
    spread, claimed = np.nanvar(values, axis=0, ddof=1), np.nanmean(errors**2, axis=0)
    # Over 600 examples and 24 ensembles the ratio's own standard deviation is about 0.03.
    assert 0.85 < claimed.mean() / spread.mean() < 1.15


def run_digits(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxgen.cscore", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_kills_at_random_moments_cost_nothing_but_time(tmp_path):
    job = ["--num_runs=20", "--subset_ratios=0.3:0.9:0.3", "--epochs=60", "--width=5"]
    assert run_digits(tmp_path, *job, "--out=whole").wait() == 0
    kills = 0
    for moment in range(20):
        process = run_digits(tmp_path, *job, "--out=killed")
        try:
            # From the middle of the imports to well into the training.
            process.wait(timeout=random.Random(moment).uniform(2, 10))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 2, "the job was done before it could be killed"
    assert run_digits(tmp_path, *job, "--out=killed").wait() == 0
    scores_equal(*(load_scores(tmp_path / out / "cscores.npz") for out in ("whole", "killed")))


def test_the_default_job_gives_what_its_config_says(tmp_path):
    assert run_digits(tmp_path, "--out=out").wait() == 0
    scores = load_scores(tmp_path / "out" / "cscores.npz")
    expected = re.findall(r"(0\.\d+) ± (0\.\d+) at (0\.\d)", DIGITS_HEAD)
    assert len(expected) == 3
    for mean, spread, ratio in expected:
        [row] = scores.heldout_accuracy[np.isclose(scores.subset_ratios, float(ratio))]
        # Another machine rounds otherwise, and so trains other models: six standard errors.
        assert abs(row.mean() - float(mean)) < 6 * float(spread) / np.sqrt(len(row))
        assert abs(row.std(ddof=1) / float(spread) - 1) < 0.25
    assert scores.reliability.min() > 0.98
