"""Randomization tests: networks trained on true, partly random and random labels and pixels, regularized or not.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.experiments.cscore_job import model_folder
from jaxgen.experiments.dry_run import describe_programs
from jaxgen.experiments.fitting import explain_misfits
from jaxgen.experiments.programs import Program
from jaxgen.experiments.randomization_job import Job, cell_name, make_cells, open_job_store
from jaxgen.experiments.randomization_rows import Measured, measure_members
from jaxgen.experiments.start import describe_program, refuse_all_diverged, train_program
from jaxgen.runs.store import Store


class Results(NamedTuple):
    """What a job found.

    Attributes:
      rows: one dictionary a member: its setting, its run, what was measured; by setting, then run.
      curves: by name, float32 ``[members, e]`` in the order of `rows`: NaN after a member's last epoch.
      widths: of the programs.
      models_now: how many were trained by this call.
      seconds_now: how long that took.
      devices: on what.
    """

    rows: list[dict]
    curves: dict[str, np.ndarray]
    widths: set[int]
    models_now: int
    seconds_now: float
    devices: str


def run_job(job: Job, *, resume: str, say: Callable[[str], None] | None) -> Results:
    """Trains what is missing in the store below ``spec.out``, and reads what all members came to.

    Args:
      job: what to train.
      resume: how to go on, for one who stops it.
      say: takes lines about what is going on; with None there is no progress bar either.
    """
    store = open_job_store(job)
    store.verify(say or (lambda line: None))
    measured: dict[tuple[str, int], Measured] = {}
    widths, models_now, seconds_now, devices = set(), 0, 0.0, ""
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        for program in job.programs:
            done = train_program(
                job.versions.dataset,
                program,
                make_cells(job, program),
                store,
                describe=functools.partial(describe_program, job.dataset, program, num_runs=job.spec.num_runs),
                resume=resume,
                say=say,
                models=model_folder(job.dataset, program) if program.spec.compute.save_models else None,
            )
            widths.add(done.width)
            models_now, seconds_now = models_now + done.models_now, seconds_now + done.seconds_now
            devices = done.devices
            measured |= read_program(job, program, store, done.parameters)
    ordered = [measured[setting.name, run] for setting in job.settings for run in range(job.spec.num_runs)]
    rows = explain_misfits([each.row for each in ordered], job.flags, [each.curves for each in ordered])
    refuse_all_diverged(rows)
    return Results(rows, stack_curves(ordered), widths, models_now, seconds_now, devices)


def read_program(job: Job, program: Program, store: Store, parameters: int) -> dict[tuple[str, int], Measured]:
    """What the members of a program came to, by setting and run."""
    found = {}
    for arrays in store.runs(cell_name(program)):
        for one in measure_members(job, program, arrays, parameters):
            found[one.row["setting"], one.row["run"]] = one
    return found


def stack_curves(ordered: list[Measured]) -> dict[str, np.ndarray]:
    """Curves of all members as one array a name; members of fewer epochs end in NaN."""
    longest = max(len(curve) for each in ordered for curve in each.curves.values())

    def lengthened(curve: np.ndarray) -> np.ndarray:
        return np.concatenate([curve, np.full(longest - len(curve), np.nan, np.float32)])

    return {name: np.stack([lengthened(each.curves[name]) for each in ordered]) for name in ordered[0].curves}


def describe_plan(job: Job, *, say: Callable[[str], None]) -> str:
    """What a job would train, how, and how long that would take."""
    programs = [(program, make_cells(job, program)) for program in job.programs]
    return describe_programs(job.versions.dataset, programs, open_job_store(job), say=say)
