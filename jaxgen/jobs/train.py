"""Trains one program; and handles errors and missing runs of a job of several programs."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from jaxgen.config import ComputeSpec
from jaxgen.engine.learner import num_parameters
from jaxgen.errors import FailedRuns, NotThere, Unfinished, UserError
from jaxgen.jobs.checks import refuse_precision
from jaxgen.jobs.distributed import await_others
from jaxgen.jobs.layout import Layout
from jaxgen.jobs.missing_runs import read_execution_plan, train_missing_runs
from jaxgen.jobs.program import Program
from jaxgen.jobs.session import Session
from jaxgen.jobs.trainer import RunGroup, Trainer
from jaxgen.runs.devices import start_devices, start_one_core
from jaxgen.runs.plan import count_runs
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.types import Dataset


def make_trainer(
    dataset: Dataset,
    program: Program,
    run_groups: Mapping[str, RunGroup],
    log: Callable[[str], None],
    *,
    here: bool = False,
) -> Trainer:
    """Makes a trainer of the program: on this machine's devices, or on the cluster with ``--launcher=ray``.

    Args:
      dataset: the training data.
      program: to train.
      run_groups: all of the program's, by name.
      log: called with progress lines.
      here: whether to use this machine in any case.
    """
    compute = program.spec.compute
    if compute.launcher == "ray" and not here:
        # Imported here: most jobs need no cluster.
        from jaxgen.jobs.ray_trainer import ClusterTrainer
        from jaxgen.runs.ray_cluster import connect

        ray = connect(compute.ray_address)
        return ClusterTrainer(Layout(dataset, program, start_one_core(), log), run_groups, log, ray, dataset)
    copied = sum(array.nbytes for array in (dataset.images, dataset.test_images, dataset.probes) if array is not None)
    devices = start_devices(compute.num_devices, copied)
    refuse_precision(compute.precision, devices[0].platform)
    return Trainer(Layout(dataset, program, devices, log), run_groups, log)


def refuse_unsaved(trainer: Trainer, store: Store, models: ModelFolder | None) -> None:
    """Refuses ``--save_models`` where finished runs were trained without it.

    Raises:
      UserError: if a finished run lacks its file.
    """
    if models is None:
        return
    finished = {
        run_group: itertools.chain.from_iterable(itertools.starmap(range, store.spans(run_group)))
        for run_group in trainer.run_groups
    }
    if num_missing := sum(len(models.missing(run_group, numbers)) for run_group, numbers in finished.items()):
        raise UserError(
            f"--save_models: {num_missing:,} finished models of --out={trainer.layout.program.spec.out} were not kept "
            "when they were trained; leave it out, or choose another --out"
        )


class TrainedProgram(NamedTuple):
    """How a program was trained.

    Attributes:
      parameters: number of parameters of one model.
      width: members per device in one batched program.
      models_now: number of models trained by this call.
      seconds_now: time that took.
      devices: description of the devices.
      trainer: the trainer, unless it was released.
    """

    parameters: int
    width: int
    models_now: int
    seconds_now: float
    devices: str
    trainer: Trainer | None


def train_program(
    dataset: Dataset,
    program: Program,
    run_groups: Mapping[str, RunGroup],
    store: Store,
    session: Session,
    *,
    describe: Callable[[int], str],
    models: ModelFolder | None,
) -> TrainedProgram:
    """Trains the runs of a program that the store lacks.

    Args:
      dataset: what its members see.
      program: to train.
      run_groups: all of the program's, by name.
      store: of the job's runs.
      session: resume command and log.
      describe: maps the number of parameters of a model to a line about the program.
      models: folder for weights, if they are kept.
    """
    trainer = make_trainer(dataset, program, run_groups, session.tell)
    # Raises for an incompatible execution plan before anything is logged or compiled.
    read_execution_plan(trainer, store, program.name)
    parameters = num_parameters(*trainer.layout.example())
    trainer.log(describe(parameters))
    refuse_unsaved(trainer, store, models)
    trained = train_missing_runs(trainer, store, session, program=program.name, models=models)
    width = store.read_settings(program.name).get("width", 0)
    return TrainedProgram(parameters, width, trained.models, trained.seconds, trainer.devices, trainer)


def refuse_unfinished(store: Store, compute: ComputeSpec, things: str = "models") -> None:
    """Ends a driver whose share is trained while runs of other shares are missing; `things` names the runs.

    Raises:
      Unfinished: if runs are missing; `NotThere` where nothing was to be trained.
    """
    if compute.launcher == "distributed" and not compute.aggregate_only:
        await_others(store, compute)
    missing = count_runs(store.missing())
    if not any(missing.values()):
        return
    run_groups = ", ".join(f"{count:,} of {run_group}" for run_group, count in missing.items() if count)
    still = f"{sum(missing.values()):,} of {store.plan.num_runs:,} {things} are still missing ({run_groups})"
    if compute.aggregate_only:
        raise NotThere(f"--aggregate_only: {still}; give the command without it, or wait for those who train them")
    raise Unfinished(
        f"--shard={compute.shard}: its share is done; of others, {still}; the last to finish writes the results, or "
        "the same command with --aggregate_only"
    )


@contextlib.contextmanager
def collect_errors(errors: list[UserError]) -> Iterator[None]:
    """Collects the error of a failed or unfinished part of a job, so that the other parts are still trained."""
    try:
        yield
    except (Unfinished, FailedRuns) as error:
        errors.append(error)


def raise_collected(errors: Sequence[UserError]) -> None:
    """Raises the collected errors of a job's parts as one, if there are any.

    Raises:
      UserError: the first of those that failed, or else of all.
    """
    if errors:
        first = min(errors, key=lambda error: isinstance(error, Unfinished))
        more = f" ({len(errors) - 1} more parts of this job alike)" if len(errors) > 1 else ""
        raise type(first)(f"{first}{more}")


def describe_program(dataset: Dataset, program: Program, parameters: int, num_runs: int) -> str:
    """One line about the data, the network and the members."""
    shape = "x".join(str(size) for size in dataset.images.shape[1:])
    return (
        f"{dataset.name}: {len(dataset.labels):,} {'images of' if dataset.has_images else 'rows of'} {shape} in "
        f"{dataset.num_classes} classes, {len(dataset.test_labels):,} for testing; {program.spec.model.model} with "
        f"{parameters:,} parameters; settings: {len(program.settings)}, runs of each: {num_runs}"
    )
