"""Oversampling: what copies of scarce data buy, exact or noisy, over growing samples, beside geometric augmentation.

After a lecture's experiment on the first N images of MNIST with and without a noisy copy of each. Further arms answer
what it leaves open: exact copies take as many steps as noisy ones, so what they gain is not the noise's; and a
development part that is split off before copying has no copies among what is trained on.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen import spec as words
from jaxgen.experiments import samples
from jaxgen.experiments.cscore_job import model_folder
from jaxgen.experiments.dry_run import describe_programs
from jaxgen.experiments.oversampling_job import Job, cell_name, make_cells, open_job_store, sample_of
from jaxgen.experiments.oversampling_settings import largest_copies
from jaxgen.experiments.programs import Program
from jaxgen.experiments.start import describe_program, refuse_all_diverged, train_program
from jaxgen.runs.store import Arrays, Store


class Results(NamedTuple):
    """What a job found.

    Attributes:
      rows: one dictionary a member: its setting, size and run, what was measured; by setting, then size, then run.
      widths: of the programs.
      models_now: how many were trained by this call.
      seconds_now: how long that took.
      devices: on what.
    """

    rows: list[dict]
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
    found: dict[tuple[str, int, int], dict] = {}
    widths, models_now, seconds_now, devices = set(), 0, 0.0, ""
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        for program in job.programs:
            done = train_program(
                job.dataset,
                program,
                make_cells(job, program),
                store,
                describe=functools.partial(describe_cells, job, program),
                resume=resume,
                say=say,
                models=model_folder(job.dataset, program) if program.spec.compute.save_models else None,
            )
            widths.add(done.width)
            models_now, seconds_now = models_now + done.models_now, seconds_now + done.seconds_now
            devices = done.devices
            for row in measure_program(job, program, store):
                found[row["setting"], row["sample_size"], row["run"]] = row
    sizes, runs = job.spec.copies.sample_sizes, range(job.spec.num_runs)
    rows = [found[setting.name, size, run] for setting in job.settings for size in sizes for run in runs]
    refuse_all_diverged(rows)
    return Results(rows, widths, models_now, seconds_now, devices)


def describe_cells(job: Job, program: Program, parameters: int) -> str:
    """One line: the data, the network, the members."""
    line = describe_program(job.dataset, program, parameters, job.spec.num_runs)
    return f"{line}, sample sizes: {', '.join(f'{size:,}' for size in job.spec.copies.sample_sizes)}"


def measure_program(job: Job, program: Program, store: Store) -> Iterator[dict[str, Any]]:
    """A row of measures for each member of a program."""
    places = samples.make_places(job.largest, largest_copies(program.settings))
    given = [settings_row(job, setting.spec) for setting in program.settings]
    for size in job.spec.copies.sample_sizes:
        for arrays in store.runs(cell_name(program, size)):
            for i, number in enumerate(arrays["run"]):
                run, which = divmod(int(number), len(program.settings))
                varied, fixed = given[which]
                sample = sample_of(program.settings[which].spec, size)
                own = {name: array[i] for name, array in arrays.items()}
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
    chosen = {name: words.format_value(value) for part in parts for name, value in words.values(part).items()}
    varied = {name: chosen.pop(name) for name in ("arm", *job.flags) if name in chosen}
    return varied, {name: value for name, value in chosen.items() if name != "sample_sizes"}


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


def describe_plan(job: Job, *, say: Callable[[str], None]) -> str:
    """What a job would train, how, and how long that would take."""
    programs = [(program, make_cells(job, program)) for program in job.programs]
    return describe_programs(job.dataset, programs, open_job_store(job), say=say)
