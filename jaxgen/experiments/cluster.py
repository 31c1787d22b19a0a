"""A program trained by the workers of a Ray cluster: what they are told, and how the driver sees them."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxgen.experiments.arrangement import Arrangement, Layout
from jaxgen.experiments.programs import Program
from jaxgen.experiments.trainer import Cell, Trainer
from jaxgen.runs import cluster
from jaxgen.runs.devices import start_devices
from jaxgen.runs.launch import train_on_cluster
from jaxgen.runs.plan import Chunk
from jaxgen.runs.progress import Report
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import FINITE, Arrays, Store
from jaxgen.types import Dataset


class WorkingTrainer:
    """In a worker: a trainer, settled."""

    def __init__(self, trainer: Trainer, keep_weights: bool):
        self.trainer, self.keep_weights = trainer, keep_weights

    def settings(self) -> tuple[dict[str, Any], int]:
        """The arrangement as JSON values, and how many members are kept in one file."""
        return self.trainer.arrangement.settings(), self.trainer.chunk_size

    def train(self, chunk: Chunk, report: Report) -> tuple[Arrays, dict[int, Any]]:
        """A chunk's arrays, and by run the weights, if they are to be kept."""
        weights: dict[int, Any] = {}
        arrays = self.trainer.train(chunk, report, None, weights.__setitem__ if self.keep_weights else None)
        return arrays, weights


def build_worker(
    dataset: Any,
    program: Program,
    cells: Mapping[str, Cell],
    runs: Mapping[str, int],
    settings: Mapping[str, Any] | None,
    keep_weights: bool,
    devices: int,
) -> WorkingTrainer:
    """In a worker: the trainer of a program, settled.

    Args:
      dataset: where it is in the cluster.
      program, cells: what to train.
      runs: by cell, how many runs are still to be trained.
      settings: the arrangement that holds, or None: it is found by timing.
      keep_weights: whether they are wanted.
      devices: how many to use; 0: all.
    """
    import jax
    import ray

    # For as long as the process lives, on whatever thread.
    jax.config.update("jax_enable_x64", False)
    layout = Layout(ray.get(dataset), program, start_devices(devices), lambda line: None)
    trainer = Trainer(layout, cells, lambda line: None)
    trainer.settle(runs, layout.read(settings) if settings else None)
    return WorkingTrainer(trainer, keep_weights)


class ClusterTrainer(Trainer):
    """Trains by a cluster's workers; this process keeps what they give, and needs no accelerator.

    Args:
      layout, cells, say: as of `Trainer`.
      ray: connected.
      dataset: what is trained on.
    """

    def __init__(
        self, layout: Layout, cells: Mapping[str, Cell], say: Callable[[str], None], ray: Any, dataset: Dataset
    ):
        super().__init__(layout, cells, say)
        self.ray, self.dataset = ray, ray.put(dataset)
        self.together = 1
        self.crew: cluster.Crew | None = None

    @property
    def chunk_size(self) -> int:
        """Members that are kept in one file: as many as the first worker trains at once."""
        return self.together

    def settle(self, runs: Mapping[str, int], arrangement: Arrangement | None = None) -> None:
        """Has the first worker find the arrangement, unless it is given; the others are told of it."""
        if self.crew:
            self.crew.close()
        self.crew = cluster.Crew(self.ray, self.layout.program.spec.compute.ray_cpus, self._builder(runs, arrangement))
        settings, self.together = self.crew.settings()
        self.arrangement = arrangement or self.layout.read(settings)
        self.crew.teach(self._builder(runs, self.arrangement))
        self.say(f"width {self.arrangement.width} on each device; {self.devices}")

    def _builder(self, runs: Mapping[str, int], arrangement: Arrangement | None) -> Callable[[int], WorkingTrainer]:
        program, settings = self.layout.program, arrangement and arrangement.settings()
        told = (self.dataset, program, self.cells, runs, settings, program.spec.compute.save_models)
        return functools.partial(build_worker, *told)

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
                    models.write(chunk.cell, run, own)
            self.count(np.asarray(arrays[FINITE]))
            self.refuse_diverging()
            return arrays

        with contextlib.closing(self.crew) as crew:
            train_on_cluster(store, chunks, crew, self.works(), keep=keep, resume=resume, shown=shown, share=self.share)


def describe(room: Mapping[tuple[str, int], int]) -> str:
    """How many workers there are, and of what."""
    of = {"GPU": "GPU", "TPU": "TPU chips", "CPU": "CPU cores"}
    return ", ".join(f"{number} of {count} {of[kind]}" for (kind, count), number in sorted(room.items()))
