"""Trains the runs of a program that its store lacks, for all experiments."""

import time
from typing import NamedTuple

from jaxgen.errors import OutOfMemory, UserError
from jaxgen.jobs.execution_plan import ExecutionPlan
from jaxgen.jobs.session import Session
from jaxgen.jobs.trainer import Trainer
from jaxgen.runs.plan import count_runs, cut_chunks
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import FINITE, Store
from jaxgen.wording import count_of, duration

# Seconds of training from which on they are told before.
LONG = 60


class Trained(NamedTuple):
    """Number of models that a call of `train_missing_runs` trained, and its seconds."""

    models: int
    seconds: float


def train_missing_runs(
    trainer: Trainer, store: Store, session: Session, *, program: str, models: ModelFolder | None = None
) -> Trained:
    """Trains the runs of a program that the store lacks, and stores each chunk when it is finished.

    Args:
      trainer: of the program.
      store: of the job's runs.
      session: resume command and log.
      program: the program's name in the store.
      models: folder for weights, if they are kept.

    Raises:
      UserError: if all models diverge.
      Interrupted: if stopped; finished chunks are kept.
    """
    recorded = read_execution_plan(trainer, store, program)
    compute = trainer.layout.program.spec.compute
    if recorded:
        trainer.share_by(recorded)
    if compute.aggregate_only or not any(count_missing(trainer, store).values()):
        return Trained(0, 0.0)
    if recorded and (changed := store.other_versions(program)):
        trainer.log(f"the models kept here were trained by other versions ({changed}): others may round otherwise")
    tell_kept(trainer, store)
    for run_group in trainer.run_groups:
        for arrays in store.runs(run_group):
            trainer.count(arrays[FINITE])
    trainer.configure(count_missing(trainer, store), recorded)
    if not recorded:
        trainer.choose_block(store.plan)
    settings = store.record_settings(trainer.execution_plan.settings(), program)
    if settings != trainer.execution_plan.settings():
        # Another driver of the same job recorded its plan first.
        trainer.configure(count_missing(trainer, store), trainer.layout.read_plan(settings))
    trainer.share_by(trainer.execution_plan)
    began, missing = time.perf_counter(), count_missing(trainer, store)
    if (seconds := trainer.seconds(missing)) >= LONG:
        trainer.log(f"training takes about {duration(seconds)}; Ctrl-C stops it and keeps what is done")
    while any(count_missing(trainer, store).values()):
        try:
            train_now(trainer, store, session, models)
        except OutOfMemory:
            halve_width(trainer, store, program)
    # Also where other processes have trained everything meanwhile, so that no chunk ran here.
    trainer.close()
    return Trained(sum(missing.values()), time.perf_counter() - began)


def tell_kept(trainer: Trainer, store: Store) -> None:
    """Says how many runs of the program are kept already, if any are."""
    wanted, missing = (count_runs(spans) for spans in (store.wanted(), store.missing()))
    total, left = (sum(counts[run_group] for run_group in trainer.run_groups) for counts in (wanted, missing))
    if left < total:
        trainer.log(f"{total - left:,} of {count_of(total, 'model')} are kept from earlier calls; {left:,} to train")


def read_execution_plan(trainer: Trainer, store: Store, program: str) -> ExecutionPlan | None:
    """The execution plan of the store's runs; None if there are none.

    Raises:
      UserError: if flags contradict it.
    """
    settings = store.read_settings(program)
    return trainer.layout.read_plan(settings) if settings else None


def count_missing(trainer: Trainer, store: Store) -> dict[str, int]:
    """The number of runs in this driver's share that the store lacks, by run group."""
    missing = count_runs(trainer.share(store.missing()))
    return {run_group: missing[run_group] for run_group in trainer.run_groups}


def train_now(trainer: Trainer, store: Store, session: Session, models: ModelFolder | None) -> None:
    """Trains the missing chunks at the current width."""
    missing = trainer.share(store.missing())
    chunks = cut_chunks({run_group: missing[run_group] for run_group in trainer.run_groups}, trainer.chunk_size)
    trainer.train_all(store, chunks, models, resume=session.resume, shown=session.shows_progress)


def halve_width(trainer: Trainer, store: Store, program: str) -> None:
    """Halves the width, in the store too.

    Raises:
      UserError: if the width is 1.
    """
    width = trainer.width // 2
    if not width:
        raise UserError(
            "--width=1: one model alone does not fit into memory; lower --batch_size or take a smaller --model"
        )
    trainer.log(f"out of memory at width {trainer.width}; going on at width {width}")
    # Checkpoints are of the old width.
    store.remove_checkpoints()
    execution_plan = trainer.execution_plan._replace(width=width)
    store.record_settings(execution_plan.settings(), program, replace=True)
    trainer.configure(count_missing(trainer, store), execution_plan)
