"""Oversampling: what copies of scarce data buy, exact or noisy, over growing samples, beside geometric augmentation.

After a lecture's experiment on the first N images of MNIST with and without a noisy copy of each. Further arms answer
what it leaves open: exact copies take as many steps as noisy ones, so what they gain is not the noise's; and a
development part that is split off before copying has no copies among what is trained on.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.experiments.oversampling import samples
from jaxgen.experiments.oversampling.job import Job, make_workload, run_group_name, sample_of
from jaxgen.experiments.oversampling.settings import largest_copies
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.run import Members, measure_workload
from jaxgen.jobs.session import Session
from jaxgen.reporting.tables import split_flags
from jaxgen.runs.store import Arrays, Store


def measure_job(job: Job, session: Session) -> Members:
    """Trains what is missing in the store below ``spec.out``, and reads what all members came to.

    Args:
      job: what to train.
      session: how to resume, and where lines go.

    Raises:
      UserError: if all members diverged.
    """
    members = measure_workload(make_workload(job), session, functools.partial(measure_program, job))
    by_row = {(row["setting"], row["sample_size"], row["run"]): row for row in members.measured}
    sizes, runs = job.spec.copies.sample_sizes, range(job.spec.num_runs)
    rows = [by_row[setting.name, size, run] for setting in job.settings for size in sizes for run in runs]
    refuse_all_diverged(rows)
    return members._replace(measured=rows)


def measure_program(job: Job, store: Store, program: Program, parameters: int) -> Iterator[dict[str, Any]]:
    """A row of measures for each member of a program."""
    places = samples.make_places(job.largest, largest_copies(program.settings))
    given = [settings_row(job, setting.spec) for setting in program.settings]
    for size in job.spec.copies.sample_sizes:
        for arrays in store.runs(run_group_name(program, size)):
            for run, which, own in split_runs(program, arrays):
                varied, fixed = given[which]
                sample = sample_of(program.settings[which].spec, size)
                yield {
                    "setting": program.settings[which].name,
                    **varied,
                    "sample_size": size,
                    "run": run,
                    **measures(program, sample, places, own),
                    **fixed,
                }


def settings_row(job: Job, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as they are typed: those in which settings differ, and the others that decide training."""
    parts = (spec.copies, spec.model, spec.train, spec.regularization, spec.augmentation)
    return split_flags(parts, ("arm", *job.flags), ("sample_sizes",))


def measures(program: Program, sample: samples.Sample, places: samples.Places, own: Arrays) -> dict[str, Any]:
    """What was measured of one member; accuracies are on what it was trained on, copies and all, on its development
    part, and on the test set."""
    trained_on, correct = (
        np.unpackbits(own[name], count=len(places.copy)).astype(bool) for name in ("trained_on", "correct")
    )
    dev = samples.is_present(sample, places) & ~trained_on
    return {
        "finite": bool(own["finite"]),
        "num_train": sample.num_train,
        "num_dev": sample.num_dev,
        "num_copied": sample.copied * sample.num_copies,
        "steps": -(-sample.num_train // program.spec.train.batch_size) * program.spec.train.epochs,
        "train_accuracy": float(correct[trained_on].mean()),
        "dev_accuracy": float(correct[dev].mean()) if dev.any() else float("nan"),
        "test_accuracy": float(own["test_accuracy"]),
        "final_loss": float(own["final_loss"]),
        "seconds": float(own["seconds"]),
    }
