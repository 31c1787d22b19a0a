"""jaxgen's side of a comparison: a trainer that is compiled before it is timed."""

import time
from collections.abc import Iterable, Mapping

import numpy as np

from jaxgen.jobs.program import Program
from jaxgen.jobs.train import make_trainer
from jaxgen.jobs.trainer import RunGroup, Trainer
from jaxgen.reporting.console import log
from jaxgen.runs.plan import Chunk
from jaxgen.types import Dataset


def make_compiled_trainer(
    dataset: Dataset, program: Program, run_groups: Mapping[str, RunGroup], runs: Mapping[str, int]
) -> tuple[Trainer, float]:
    """A trainer whose programs are all compiled.

    Args:
      dataset: what the members are trained on.
      program: how.
      run_groups: all of the program, by name.
      runs: by run group, how many runs the layout is chosen for.

    Returns:
      The trainer, and the seconds that choosing a layout and compiling took.
    """
    trainer = make_trainer(dataset, program, run_groups, log)
    began = time.perf_counter()
    trainer.configure(runs)
    trainer.compile_rest()
    return trainer, time.perf_counter() - began


def train_chunks(trainer: Trainer, chunks: Iterable[Chunk], *names: str) -> list[np.ndarray]:
    """Trains chunks; returns the named arrays ``[m, ...]`` of all their members, chunk after chunk."""
    trained = [trainer.train(chunk, lambda amount, earlier=False: None) for chunk in chunks]
    return [np.concatenate([arrays[name] for arrays in trained]) for name in names]
