"""Oversampling: trains all arms on growing samples and measures their accuracies.

The design follows a lecture's experiment on the first N images of MNIST, with and without a noisy copy of each. Exact
copies control for the number of steps. Splitting off the development set before copying keeps copies of its examples
out of training.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.experiments.oversampling import samples
from jaxgen.experiments.oversampling.job import OversamplingJob, make_workload, run_group_name, sample_of
from jaxgen.experiments.oversampling.settings import largest_copies
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.run import Members, measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import split_flags
from jaxgen.runs.store import Arrays, Store


def measure_job(job: OversamplingJob, session: Session) -> Members:
    """Trains the missing runs in the store below ``spec.out`` and measures all members.

    Args:
      job: the job.
      session: how to resume, and where to log.

    Raises:
      UserError: if all members diverged.
    """
    members = measure_workload(make_workload(job), session, functools.partial(measure_program, job))
    by_row = {(row["setting"], row["sample_size"], row["run"]): row for row in members.measured}
    sizes, runs = job.spec.copies.sample_sizes, range(job.spec.num_runs)
    rows = [by_row[setting.name, size, run] for setting in job.settings for size in sizes for run in runs]
    refuse_all_diverged(rows)
    return members._replace(measured=rows)


def measure_program(job: OversamplingJob, store: Store, program: Program, parameters: int) -> Iterator[dict[str, Any]]:
    """Yields a row of measures for each member of a program."""
    layout = samples.make_layout(job.largest, largest_copies(program.settings))
    setting_flags = [settings_row(job, setting.spec) for setting in program.settings]
    for size in job.spec.copies.sample_sizes:
        for arrays in store.runs(run_group_name(program, size)):
            for run, index, values in split_runs(program, arrays):
                varied, fixed = setting_flags[index]
                sample = sample_of(program.settings[index].spec, size)
                yield {
                    "setting": program.settings[index].name,
                    **varied,
                    "sample_size": size,
                    "run": run,
                    **measures(program, sample, layout, values),
                    **fixed,
                }


def settings_row(job: OversamplingJob, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as typed: those in which settings differ, and the others that affect training."""
    parts = (spec.copies, spec.model, spec.train, spec.regularization, spec.augmentation)
    return split_flags(parts, ("arm", *job.flags), ("sample_sizes",))


def measures(program: Program, sample: samples.Sample, layout: samples.SampleLayout, arrays: Arrays) -> dict[str, Any]:
    """Measures of one member; training accuracy includes copies."""
    trained_on, correct = (
        np.unpackbits(arrays[name], count=len(layout.copy)).astype(bool) for name in ("trained_on", "correct")
    )
    dev = samples.is_present(sample, layout) & ~trained_on
    return {
        "finite": bool(arrays["finite"]),
        "num_train": sample.num_train,
        "num_dev": sample.num_dev,
        "num_copied": sample.copied * sample.num_copies,
        "steps": -(-sample.num_train // program.spec.train.batch_size) * program.spec.train.epochs,
        "train_accuracy": float(correct[trained_on].mean()),
        "dev_accuracy": float(correct[dev].mean()) if dev.any() else float("nan"),
        "test_accuracy": float(arrays["test_accuracy"]),
        "final_loss": float(arrays["final_loss"]),
        "seconds": float(arrays["seconds"]),
    }
