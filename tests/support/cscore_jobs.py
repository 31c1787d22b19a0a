"""C-score jobs of the command line, small and long, and what they give."""

import copy
import dataclasses

import numpy as np

from jaxgen import load_scores
from support.commands import type_in
from support.data import make_data

SMALL = ["--dataset=npz:mine.npz", "--subset_ratios=0.3,0.5,0.9", "--num_runs=10", "--hidden=8", "--epochs=8"]
SMALL += ["--batch_size=8", "--learning_rate=0.1", "--width=2", "--out=out"]
# The same for some seconds, so that it can be met half-way.
LONG = [*SMALL, "--epochs=800", "--learning_rate=0.001"]


def scores_of(folder, *typed):
    """What a job gives that nothing disturbs."""
    result = type_in(make_data(folder), *typed)
    assert result.returncode == 0, result.stderr
    return load_scores(folder / "out" / "cscores.npz")


def scores_equal(first, second):
    """All arrays; of the metadata, all but what tells of time and place."""
    first, second = (dataclasses.replace(scores, metadata=copy.deepcopy(scores.metadata)) for scores in (first, second))
    for name in ("scores", "stderr", "counts", "scores_by_ratio", "heldout_accuracy", "reliability", "labels", "ids"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.more.keys() == second.more.keys() >= {"csl", "heldout_aum", "pred_probs", "curve_correct"}
    for name, array in first.more.items():
        np.testing.assert_array_equal(array, second.more[name], err_msg=name)
    for metadata in (first.metadata, second.metadata):
        for name in ("seconds", "seconds_now", "models_now", "devices"):
            metadata.pop(name)
        for name in ("out", "num_devices", "width", "launcher", "ray_address", "ray_cpus"):
            metadata["flags"].pop(name)
    assert first.metadata == second.metadata
