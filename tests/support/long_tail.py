"""Jobs of two stages on a long tail."""

import numpy as np

from jaxgen.config import LnrSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data.checks import make_dataset
from jaxgen.experiments.longtail.run import train_stage1
from jaxgen.experiments.longtail.stage2 import make_stage2, make_stage2_workload, run_group_name
from jaxgen.jobs.program import split_runs
from jaxgen.jobs.session import QUIET
from support.data import blobs

FLAGS = {"hidden": (16,), "epochs": 8, "batch_size": 8, "learning_rate": 0.05, "num_runs": 3, "width": 3}
FLAGS |= {"imbalance": 8.0, "head_epochs": 4, "head_batch_size": 16, "threshold": (0.5, 1.5), "shots": (15, 50)}


def long_tail_data(count=240, num_tests=90):
    """Images of three classes alike, with a test set."""
    images, labels = blobs(count)
    tests, test_labels = blobs(num_tests, seed=1)
    tests = {"test_images": tests, "test_labels": test_labels}
    return make_dataset("mine", images, labels, source="mine", class_names=["a", "b", "c"], **tests)


def spec_of(folder="nowhere", **flags):
    return spec_from_values(LnrSpec, {**FLAGS, "out": str(folder), **flags})


def kept_params(job):
    """By setting and run, the parameters of stage 2's classifiers: bias, kernel, scale."""
    _, found = train_stage1(job, QUIET)
    _, programs = make_stage2(job, found)
    store, found = make_stage2_workload(job, None, programs, 16, None).open_store(), {}
    for program in programs:
        for arrays in store.runs(run_group_name(program)):
            for run, setting, own in split_runs(program, arrays):
                found[program.settings[setting].name, run] = own["params"]
    return {place: np.split(params, [3, 3 + 16 * 3]) for place, params in found.items()}
