"""Trains one program's members on the workers of a Ray cluster; the driver writes the store."""

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
from jaxgen.jobs.execution_plan import ExecutionPlan
from jaxgen.jobs.layout import Layout
from jaxgen.jobs.program import Program
from jaxgen.jobs.trainer import RunGroup, Trainer
from jaxgen.runs.devices import start_devices
from jaxgen.runs.jax_settings import fix_settings
from jaxgen.runs.launch import train_on_cluster
from jaxgen.runs.plan import Chunk
from jaxgen.runs.progress import ProgressCallback
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import FINITE, Arrays, Store
from jaxgen.runs.worker_pool import WorkerPool
from jaxgen.types import Dataset

# Prefix of a node's temporary folders for compiled programs; one older than STALE_SECONDS was left by a killed job.
CACHE_PREFIX, STALE_SECONDS = "jaxgen-ray-", 2 * 24 * 3600


class WorkerTrainer:
    """A trainer inside a worker, for `jaxgen.runs.worker.Worker`.

    Args:
      trainer: not configured yet.
      runs: number of runs still to be trained, by run group.
      keep_weights: whether `train` returns the weights too.
      cache: the node's folder for compiled programs, shared by its workers.
    """

    def __init__(self, trainer: Trainer, runs: Mapping[str, int], keep_weights: bool, cache: pathlib.Path):
        self.trainer, self.runs, self.keep_weights, self.cache = trainer, runs, keep_weights, cache

    def configure(self, settings: tuple[dict[str, Any], int] | None) -> tuple[dict[str, Any], int]:
        """Configures the trainer.

        Args:
          settings: execution plan and chunk size that another worker returned; None: chosen by timing.

        Returns:
          The execution plan as JSON values, and the number of members in a chunk.
        """
        self.trainer.configure(self.runs, self.trainer.layout.read_plan(settings[0]) if settings else None)
        return self.trainer.execution_plan.settings(), self.trainer.chunk_size

    def train(self, chunk: Chunk, report: ProgressCallback) -> tuple[Arrays, dict[int, Any]]:
        """Returns the chunk's arrays, and the weights by run number if they are to be kept."""
        weights: dict[int, Any] = {}
        arrays = self.trainer.train(chunk, report, None, weights.__setitem__ if self.keep_weights else None)
        return arrays, weights

    def close(self) -> None:
        """Removes the node's compiled programs."""
        shutil.rmtree(self.cache, ignore_errors=True)


def build_worker(
    dataset: Any,
    program: Program,
    run_groups: Mapping[str, RunGroup],
    runs: Mapping[str, int],
    job: str,
    num_devices: int,
) -> WorkerTrainer:
    """Builds a program's trainer inside a worker.

    Args:
      dataset: its Ray reference.
      program: to train.
      run_groups: all run groups of the program, by name.
      runs: number of runs still to be trained, by run group.
      job: a unique name.
      num_devices: how many devices to use; 0: all.
    """
    import ray

    # Set for the whole process: Ray calls the worker on several threads.
    fix_settings()
    cache = compilation_folder(job)
    share_compilations(cache)
    layout = Layout(ray.get(dataset), program, start_devices(num_devices), lambda line: None)
    trainer = Trainer(layout, run_groups, lambda line: None)
    return WorkerTrainer(trainer, runs, program.spec.compute.save_models, cache)


def compilation_folder(job: str) -> pathlib.Path:
    """The node's folder for a job's compiled programs; removes stale folders of other jobs."""
    temporary = pathlib.Path(tempfile.gettempdir())
    for old in temporary.glob(f"{CACHE_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    return temporary / f"{CACHE_PREFIX}{job}"


class ClusterTrainer(Trainer):
    """Trains on a cluster's workers; this process writes the store and needs no accelerator.

    Args:
      layout: as of `Trainer`.
      run_groups: as of `Trainer`.
      log: as of `Trainer`.
      ray: the connected `ray` module.
      dataset: to train on.

    Attributes:
      pool: the workers, once configured.
    """

    def __init__(
        self, layout: Layout, run_groups: Mapping[str, RunGroup], log: Callable[[str], None], ray: Any, dataset: Dataset
    ):
        super().__init__(layout, run_groups, log)
        self.ray, self.dataset = ray, ray.put(dataset)
        self._chunk_size = 1
        self.pool: WorkerPool | None = None

    @property
    def chunk_size(self) -> int:
        """Members in one chunk: the chunk size of the first worker."""
        return self._chunk_size

    def configure(self, runs: Mapping[str, int], execution_plan: ExecutionPlan | None = None) -> None:
        """Starts workers; the first one chooses the execution plan unless it is given.

        Args:
          runs: number of runs still to be trained, by run group.
          execution_plan: the recorded one, if any.

        Raises:
          UserError: if the cluster has no usable worker, or as the first worker raised it.
        """
        self.close()
        program = self.layout.program
        build = functools.partial(build_worker, self.dataset, program, self.run_groups, runs, uuid.uuid4().hex[:12])
        self.pool = WorkerPool(self.ray, program.spec.compute.ray_cpus, build)
        recorded = execution_plan and (execution_plan.settings(), 0)
        try:
            with stdout_to_stderr():
                settings, self._chunk_size = self.pool.configure(recorded, sum(runs.values()))
        except BaseException:
            self.close()
            raise
        self.execution_plan = execution_plan or self.layout.read_plan(settings)
        self.log(f"width {self.execution_plan.width} on each device; {self.devices}")

    def close(self) -> None:
        """Stops the workers."""
        if self.pool:
            self.pool.close()

    @property
    def devices(self) -> str:
        """Number and resources of the workers, as text."""
        return f"Ray workers: {describe_slots(self.pool.slots)}" if self.pool else "no Ray worker"

    def train_all(
        self, store: Store, chunks: list[Chunk], models: ModelFolder | None, *, resume: str, shown: bool
    ) -> None:
        """As of `Trainer`; the workers are stopped afterwards."""

        def keep(chunk: Chunk, result: tuple[Arrays, dict[int, Any]]) -> Arrays:
            arrays, weights = result
            if models:
                for run, run_weights in weights.items():
                    models.write(chunk.run_group, run, run_weights)
            self.count(np.asarray(arrays[FINITE]))
            self.refuse_diverging()
            return arrays

        work = self.work_by_group()
        with stdout_to_stderr(), contextlib.closing(self.pool) as pool:
            train_on_cluster(store, chunks, pool, work, keep=keep, resume=resume, shown=shown, share=self.share)


def stdout_to_stderr() -> contextlib.AbstractContextManager:
    """Redirects Ray's messages about lost workers, which it prints on standard output, to standard error."""
    return contextlib.redirect_stdout(sys.stderr)


def describe_slots(slots: Mapping[tuple[str, int], int]) -> str:
    """Number and resources of the workers that fit on the cluster, as text."""
    units = {"GPU": "GPU", "TPU": "TPU chips", "CPU": "CPU cores"}
    return ", ".join(f"{number} of {count} {units[kind]}" for (kind, count), number in sorted(slots.items()))
