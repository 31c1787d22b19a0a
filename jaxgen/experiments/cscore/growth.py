"""Adds runs to a C-score job until its scores reach ``--target_reliability``."""

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
from jaxgen.jobs.train import TrainedProgram
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Store
from jaxgen.scores import designs
from jaxgen.scores.planning import next_num_runs
from jaxgen.types import Dataset
from jaxgen.wording import count_of


def train_to_target(
    dataset: Dataset, program: Program, store: Store, done: TrainedProgram, models: ModelFolder | None, session: Session
) -> tuple[Program, Store, TrainedProgram]:
    """Trains more runs until the target is reached or there are ``--max_runs``; does nothing without a target.

    The next number of runs depends on the stored runs alone, so an interrupted job continues as if it had not stopped.

    Args:
      dataset: the training data.
      program: the job's only program, of one setting.
      store: with all of its runs so far.
      done: how these were trained.
      models: folder for weights, if they are kept.
      session: resume command and log.

    Returns:
      The program and the store with the final number of runs, and how all of them were trained.
    """
    subsets = program.spec.subsets
    target, block = subsets.target_reliability, common_block(program.spec)
    while target:
        reliability = estimate_heldout(dataset, program, 0, make_reader(program, store)).reliability
        num_runs = program.spec.subsets.num_runs
        wanted = next_num_runs(reliability, num_runs, target, block, subsets.max_runs)
        session.tell(describe_step(reliability, num_runs, wanted, target))
        if wanted == num_runs:
            break
        program = with_runs(program, wanted)
        store = make_workload(CscoreJob(dataset, program.spec, [program])).open_store()
        trained = train_missing_runs(done.trainer, store, session, program=program.name, models=models)
        done = done._replace(
            models_now=done.models_now + trained.models,
            seconds_now=done.seconds_now + trained.seconds,
            width=store.read_settings(program.name)["width"],
        )
    return program, store, done


def describe_step(reliability: np.ndarray, num_runs: int, wanted: int, target: float) -> str:
    """Log line about the reliability so far and the number of runs wanted next."""
    known = f"reliability {reliability.mean():.4f}" if len(reliability) else "reliability not known yet"
    line = f"{count_of(num_runs, 'run')} at each ratio: {known}, "
    if wanted > num_runs:
        return f"{line}--target_reliability={target:g} asks for more: {wanted:,}"
    if len(reliability) and reliability.mean() >= target:
        return f"{line}--target_reliability={target:g} is reached"
    return f"{line}--target_reliability={target:g} is not reached, and --max_runs ends it"


def common_block(spec: CscoreSpec) -> int:
    """The smallest number of runs that is a whole number of blocks at every ratio."""
    return math.lcm(*(designs.block_size(spec.subsets.design, ratio) for ratio in spec.subsets.subset_ratios))


def with_runs(program: Program, num_runs: int) -> Program:
    """The program with `num_runs` runs at each ratio."""
    [setting] = program.settings
    subsets = dataclasses.replace(setting.spec.subsets, num_runs=num_runs)
    spec = dataclasses.replace(setting.spec, subsets=subsets)
    return program._replace(settings=(Setting(setting.name, spec),))
