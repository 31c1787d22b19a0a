"""Ensembles of small networks: made, trained, compared."""

import functools

import jax
import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.engine.ensemble import Ensemble
from jaxgen.experiments.cscore.job import make_run_groups
from jaxgen.jobs.program import make_ensemble_config, make_kernels, make_programs

FLAGS = {"hidden": (8,), "epochs": 3, "batch_size": 8, "learning_rate": 0.1, "subset_ratios": (0.3, 0.9)}


def job(**flags):
    return spec_from_values(CscoreSpec, {**FLAGS, **flags})


def program_of(spec):
    [program] = make_programs(spec)
    return program


def cells_of(dataset, spec):
    return make_run_groups(dataset, program_of(spec))


# What was compiled for one test does for the next.
MADE = {}


def make(dataset, spec, num_devices=2):
    key = (id(dataset), spec, num_devices)
    if key not in MADE:
        # The data set too, so that no other takes its address.
        MADE[key] = make_anew(dataset, spec, num_devices), dataset
    return MADE[key][0]


def make_anew(dataset, spec, num_devices, *clock):
    program = program_of(spec)
    config = make_ensemble_config(dataset, program, make_kernels(program))
    return Ensemble(config, dataset, jax.devices()[:num_devices], *clock)


def train(dataset, spec, indices, *, ratio=0.9, width=4, num_devices=2, steps_per_call=1000, ensemble=None):
    """Trains runs `indices` in batches, and returns their outcome as one."""
    ensemble = ensemble or make(dataset, spec, num_devices)
    run_group = cells_of(dataset, spec)[f"ratio_{ratio:g}"]
    size = width * ensemble.mesh.size
    parts = [
        ensemble.train(run_group.rows(np.asarray(indices[at : at + size])), width, run_group.max_size, steps_per_call)
        for at in range(0, len(indices), size)
    ]
    return jax.tree.map(lambda *fields: np.concatenate(fields), *parts)


def assert_same(first, second, exactly):
    np.testing.assert_array_equal(first.trained_on, second.trained_on)
    np.testing.assert_array_equal(first.finite, second.finite)
    if exactly:
        for name, a, b in zip(first._fields, first, second, strict=True):
            jax.tree.map(functools.partial(np.testing.assert_array_equal, err_msg=name), a, b)
    else:
        np.testing.assert_allclose(first.loss_curve, second.loss_curve, rtol=1e-4, atol=1e-5)
        for a, b in ((first.correct, second.correct), (first.test_correct, second.test_correct)):
            # An answer may tip where two logits tie to within rounding.
            assert np.unpackbits(a ^ b).sum() <= 0.002 * 8 * a.size + 1
