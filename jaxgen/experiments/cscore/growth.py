"""More runs for a C-score job, block after block, until its scores are as reliable as was asked for."""

import dataclasses
import math

import numpy as np

from jaxgen.config import CscoreSpec
from jaxgen.config.sweep import Setting
from jaxgen.experiments.cscore.collect import estimate_heldout, make_reader
from jaxgen.experiments.cscore.job import CscoreJob, make_workload
from jaxgen.jobs.missing_runs import train_missing_runs
from jaxgen.jobs.program import Program
from jaxgen.jobs.session import Session
from jaxgen.jobs.train import Done
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.scores import designs
from jaxgen.scores.planning import next_num_runs
from jaxgen.types import Dataset


def train_to_target(
    dataset: Dataset, program: Program, store: Store, done: Done, models: ModelFolder | None, session: Session
) -> tuple[Program, Store, Done]:
    """Trains on until the target is reached or there are ``--max_runs``; does nothing without a target.

    What is trained next depends on the runs that are there and on nothing else, so that a job that was stopped goes on
    as if it had not been.

    Args:
      dataset: what is trained on.
      program: the job's only one, of one setting.
      store: with all of its runs so far.
      done: who has trained them.
      models: where weights are kept, if wanted.
      session: how to resume, and where lines go.

    Returns:
      The program and the store with as many runs as there are now, and what was done in all.
    """
    subsets = program.spec.subsets
    target, block = subsets.target_reliability, common_block(program.spec)
    while target:
        found = estimate_heldout(dataset, program, 0, make_reader(program, store)).reliability
        num_runs = program.spec.subsets.num_runs
        wanted = next_num_runs(found, num_runs, target, block, subsets.max_runs)
        session.tell(describe_step(found, num_runs, wanted, target))
        if wanted == num_runs:
            break
        program = with_runs(program, wanted)
        store = make_workload(CscoreJob(dataset, program.spec, [program])).open_store()
        more = train_missing_runs(done.trainer, store, session, program=program.name, models=models)
        done = done._replace(
            models_now=done.models_now + more.models,
            seconds_now=done.seconds_now + more.seconds,
            width=store.read_settings(program.name)["width"],
        )
    return program, store, done


def describe_step(reliability: np.ndarray, num_runs: int, wanted: int, target: float) -> str:
    """Where the job is on its way, or which of the two has ended it."""
    known = f"reliability {reliability.mean():.4f}" if len(reliability) else "reliability not known yet"
    line = f"{num_runs:,} runs at each ratio: {known}, "
    if wanted > num_runs:
        return f"{line}--target_reliability={target:g} asks for more: {wanted:,}"
    if len(reliability) and reliability.mean() >= target:
        return f"{line}--target_reliability={target:g} is reached"
    return f"{line}--target_reliability={target:g} is not reached, and --max_runs ends it"


def common_block(spec: CscoreSpec) -> int:
    """The least number of runs that is whole blocks at every ratio."""
    return math.lcm(*(designs.block_size(spec.subsets.design, ratio) for ratio in spec.subsets.subset_ratios))


def with_runs(program: Program, num_runs: int) -> Program:
    """The program with so many runs at each ratio."""
    [setting] = program.settings
    subsets = dataclasses.replace(setting.spec.subsets, num_runs=num_runs)
    spec = dataclasses.replace(setting.spec, subsets=subsets)
    return program._replace(settings=(Setting(setting.name, spec),))
