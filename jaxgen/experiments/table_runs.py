"""Training every member of a job's table, and reading what each came to: what table-shaped experiments share."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.engine.learner import num_parameters
from jaxgen.errors import UserError
from jaxgen.experiments.cscore_job import model_folder
from jaxgen.experiments.dry_run import describe_programs
from jaxgen.experiments.members import read_arrangement, train_missing_runs
from jaxgen.experiments.programs import Program
from jaxgen.experiments.start import make_trainer, refuse_unkept
from jaxgen.experiments.table_job import Job, cell_name, make_cells, open_job_store
from jaxgen.runs.store import Arrays

# (job, program, a chunk's arrays, parameters of the network) -> its members; each has a `row` with setting and run.
Measure = Callable[[Job, Program, Arrays, int], Iterator[Any]]


class Members(NamedTuple):
    """What a job's members came to.

    Attributes:
      measured: one a member, by setting, then run.
      widths: of the programs.
      models_now: how many were trained by this call.
      seconds_now: how long that took.
      devices: on what.
    """

    measured: list[Any]
    widths: set[int]
    models_now: int
    seconds_now: float
    devices: str


def run_table(job: Job, measure: Measure, *, resume: str, say: Callable[[str], None] | None) -> Members:
    """Trains what is missing in the store below ``spec.out``, and measures all members.

    Args:
      job: what to train.
      measure: what is told of the members of a chunk.
      resume: how to go on, for one who stops it.
      say: takes lines about what is going on; with None there is no progress bar either.
    """
    store, tell_user = open_job_store(job), say or (lambda line: None)
    store.verify(tell_user)
    measured: dict[tuple[str, int], Any] = {}
    widths, models_now, seconds_now, devices = set(), 0, 0.0, ""
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        for program in job.programs:
            trainer = make_trainer(job.versions.dataset, program, make_cells(job, program), tell_user)
            # Other settings than those kept are refused before anything is said or compiled.
            read_arrangement(trainer, store, program.name)
            parameters = num_parameters(*trainer.layout.example())
            trainer.say(describe_program(job, program, parameters))
            models = model_folder(job.dataset, program) if program.spec.compute.save_models else None
            refuse_unkept(trainer, store, models)
            trained = train_missing_runs(
                trainer, store, group=program.name, resume=resume, shown=say is not None, models=models
            )
            widths.add(store.read_settings(program.name)["width"])
            models_now, seconds_now = models_now + trained.models, seconds_now + trained.seconds
            mesh = trainer.ensemble.mesh.devices
            devices = f"{mesh.size} {mesh.flat[0].device_kind} device(s)"
            for arrays in store.runs(cell_name(program)):
                for one in measure(job, program, arrays, parameters):
                    measured[one.row["setting"], one.row["run"]] = one
    ordered = [measured[setting.name, run] for setting in job.settings for run in range(job.spec.num_runs)]
    refuse_all_diverged([one.row for one in ordered])
    return Members(ordered, widths, models_now, seconds_now, devices)


def stack_curves(ordered: Sequence[Any]) -> dict[str, np.ndarray]:
    """Curves of all members as one array a name; members of fewer epochs end in NaN."""
    longest = max(len(curve) for each in ordered for curve in each.curves.values())

    def lengthened(curve: np.ndarray) -> np.ndarray:
        return np.concatenate([curve, np.full(longest - len(curve), np.nan, np.float32)])

    return {name: np.stack([lengthened(each.curves[name]) for each in ordered]) for name in ordered[0].curves}


def refuse_all_diverged(rows: Sequence[dict]) -> None:
    """Where nothing was learnt there is nothing to write.

    Raises:
      UserError: if no member stayed finite.
    """
    if not any(row["finite"] for row in rows):
        raise UserError(
            f"all {len(rows)} models diverged; lower --learning_rate or give --clip_norm, with another --out"
        )


def describe_program(job: Job, program: Program, parameters: int) -> str:
    """One line: the data, the network, the members."""
    dataset, shape = job.dataset, "x".join(str(size) for size in job.dataset.images.shape[1:])
    return (
        f"{dataset.name}: {len(dataset.labels):,} {'images of' if dataset.has_images else 'rows of'} {shape} in "
        f"{dataset.num_classes} classes, {len(dataset.test_labels):,} for testing; {program.spec.model.model} with "
        f"{parameters:,} parameters; settings: {len(program.settings)}, runs of each: {job.spec.num_runs}"
    )


def describe_plan(job: Job, *, say: Callable[[str], None]) -> str:
    """What a job would train, how, and how long that would take."""
    programs = [(program, make_cells(job, program)) for program in job.programs]
    return describe_programs(job.versions.dataset, programs, open_job_store(job), say=say)
