"""A program trained by the workers of a Ray cluster: what they are told, and how the driver sees them."""

import contextlib
import functools
import pathlib
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxgen.jobs.compilation_cache import share_compilations
from jaxgen.jobs.layout import ExecutionPlan, Layout
from jaxgen.jobs.program import Program
from jaxgen.jobs.trainer import RunGroup, Trainer
from jaxgen.runs.devices import start_devices
from jaxgen.runs.launch import train_on_cluster
from jaxgen.runs.plan import Chunk
from jaxgen.runs.progress import Report
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import FINITE, Arrays, Store
from jaxgen.runs.worker_pool import WorkerPool
from jaxgen.types import Dataset

# What folders for compiled programs begin with, and after how many seconds nobody needs one.
COMPILED, STALE = "jaxgen-ray-", 2 * 24 * 3600


class WorkingTrainer:
    """In a worker: a trainer.

    Args:
      trainer: not settled yet.
      runs: by cell, how many runs are still to be trained.
      keep_weights: whether they are wanted.
      compiled: a folder of this node for what is compiled, that its other workers find it.
    """

    def __init__(self, trainer: Trainer, runs: Mapping[str, int], keep_weights: bool, compiled: pathlib.Path):
        self.trainer, self.runs, self.keep_weights, self.compiled = trainer, runs, keep_weights, compiled

    def settle(self, settings: tuple[dict[str, Any], int] | None) -> tuple[dict[str, Any], int]:
        """The arrangement as JSON values, and how many members are kept in one file.

        Args:
          settings: the same, of another worker, or None: they are found by timing.
        """
        self.trainer.settle(self.runs, self.trainer.layout.read(settings[0]) if settings else None)
        return self.trainer.execution_plan.settings(), self.trainer.chunk_size

    def train(self, chunk: Chunk, report: Report) -> tuple[Arrays, dict[int, Any]]:
        """A chunk's arrays, and by run the weights, if they are to be kept."""
        weights: dict[int, Any] = {}
        arrays = self.trainer.train(chunk, report, None, weights.__setitem__ if self.keep_weights else None)
        return arrays, weights

    def close(self) -> None:
        """Leaves nothing behind."""
        shutil.rmtree(self.compiled, ignore_errors=True)


def build_worker(
    dataset: Any,
    program: Program,
    run_groups: Mapping[str, RunGroup],
    runs: Mapping[str, int],
    job: str,
    devices: int,
) -> WorkingTrainer:
    """In a worker: the trainer of a program.

    Args:
      dataset: where it is in the cluster.
      program, run_groups: what to train.
      runs: by cell, how many runs are still to be trained.
      job: a name that no other job has.
      devices: how many to use; 0: all.
    """
    import jax
    import ray

    # For as long as the process lives, on whatever thread.
    jax.config.update("jax_enable_x64", False)
    folder = compilations_folder(job)
    share_compilations(folder)
    layout = Layout(ray.get(dataset), program, start_devices(devices), lambda line: None)
    return WorkingTrainer(
        Trainer(layout, run_groups, lambda line: None), runs, program.spec.compute.save_models, folder
    )


def compilations_folder(job: str) -> pathlib.Path:
    """This node's folder for what a job compiles; those of jobs that were killed long ago are removed."""
    temporary = pathlib.Path(tempfile.gettempdir())
    for old in temporary.glob(f"{COMPILED}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE:
                shutil.rmtree(old, ignore_errors=True)
    return temporary / f"{COMPILED}{job}"


class ClusterTrainer(Trainer):
    """Trains by a cluster's workers; this process keeps what they give, and needs no accelerator.

    Args:
      layout, run_groups, log: as of `Trainer`.
      ray: connected.
      dataset: what is trained on.
    """

    def __init__(
        self, layout: Layout, run_groups: Mapping[str, RunGroup], log: Callable[[str], None], ray: Any, dataset: Dataset
    ):
        super().__init__(layout, run_groups, log)
        self.ray, self.dataset = ray, ray.put(dataset)
        self.together = 1
        self.crew: WorkerPool | None = None

    @property
    def chunk_size(self) -> int:
        """Members that are kept in one file: as many as the first worker trains at once."""
        return self.together

    def settle(self, runs: Mapping[str, int], execution_plan: ExecutionPlan | None = None) -> None:
        """Has the first worker find the arrangement, unless it is given; the others are told of it."""
        self.close()
        told = (self.dataset, self.layout.program, self.run_groups, runs, uuid.uuid4().hex[:12])
        self.crew = WorkerPool(
            self.ray, self.layout.program.spec.compute.ray_cpus, functools.partial(build_worker, *told)
        )
        given = execution_plan and (execution_plan.settings(), 0)
        try:
            with results_apart():
                settings, self.together = self.crew.settle(given, sum(runs.values()))
        except BaseException:
            self.close()
            raise
        self.execution_plan = execution_plan or self.layout.read(settings)
        self.log(f"width {self.execution_plan.width} on each device; {self.devices}")

    def close(self) -> None:
        if self.crew:
            self.crew.close()

    @property
    def devices(self) -> str:
        """On what it trains."""
        return f"Ray workers: {describe(self.crew.room)}" if self.crew else "no Ray worker"

    def train_all(
        self, store: Store, chunks: list[Chunk], models: ModelFolder | None, *, resume: str, shown: bool
    ) -> None:
        """Trains and keeps chunks; arguments as of `train_missing_runs`."""

        def keep(chunk: Chunk, found: tuple[Arrays, dict[int, Any]]) -> Arrays:
            arrays, weights = found
            if models:
                for run, own in weights.items():
                    models.write(chunk.run_group, run, own)
            self.count(np.asarray(arrays[FINITE]))
            self.refuse_diverging()
            return arrays

        with results_apart(), contextlib.closing(self.crew) as crew:
            train_on_cluster(store, chunks, crew, self.works(), keep=keep, resume=resume, shown=shown, share=self.share)


def results_apart() -> contextlib.AbstractContextManager:
    """While it is open, what Ray says of lost workers does not go where results go."""
    return contextlib.redirect_stdout(sys.stderr)


def describe(room: Mapping[tuple[str, int], int]) -> str:
    """How many workers there are, and of what."""
    of = {"GPU": "GPU", "TPU": "TPU chips", "CPU": "CPU cores"}
    return ", ".join(f"{number} of {count} {of[kind]}" for (kind, count), number in sorted(room.items()))
