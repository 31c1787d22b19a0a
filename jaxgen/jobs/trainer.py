"""Trains chunks of one program's members, in this process, in an arrangement that is found by timing."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.engine.ensemble import Ensemble
from jaxgen.errors import OutOfMemory, UserError
from jaxgen.jobs.layout import ExecutionPlan, Layout, out_of_memory, refuse_if_larger
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, Span
from jaxgen.runs.progress import Report
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.shards import read_shard
from jaxgen.runs.signals import Stop
from jaxgen.runs.store import Arrays, Store
from jaxgen.types import Outcome

# The host gets its turn about so often: for the progress bar, and for Ctrl-C.
SECONDS_PER_CALL = 0.5
# After so many models, all diverged, the others are not worth the wait.
HOPELESS = 10
# Examining an example costs a forward pass, training on it a backward pass too: about a third of the arithmetic.
EXAMINATION = 1 / 3
# Where members may stop early, a chunk has so many for each seat, so that seats are refilled.
REFILLS = 8


class RunGroup(NamedTuple):
    """Members of one program and one subset size.

    Attributes:
      rows: from run numbers to the rows of the runs.
      max_size: the size of the largest subset that a run of this cell trains on.
    """

    rows: Callable[[np.ndarray], Any]
    max_size: int


class Trainer:
    """Trains chunks of a table of members, in an arrangement that `settle` finds.

    Args:
      layout: builds the program's ensembles.
      run_groups: every cell of the program by name.
      log: takes lines about what is going on.
    """

    def __init__(self, layout: Layout, run_groups: Mapping[str, RunGroup], log: Callable[[str], None]):
        self.layout, self.run_groups, self.log = layout, run_groups, log
        self.execution_plan: ExecutionPlan | None = None
        # Runs that one driver trains, where several share them out.
        self.block: int | None = None
        self.step_seconds = 0.0
        self.num_seen = self.num_finite = 0

    @property
    def ensemble(self) -> Ensemble:
        """The program in its present arrangement."""
        return self.layout.ensemble

    @property
    def devices(self) -> str:
        """On what it trains."""
        mesh = self.ensemble.mesh.devices
        return f"{mesh.size} {mesh.flat[0].device_kind} device(s)"

    @property
    def width(self) -> int:
        """Members in one batched program on each device."""
        return self.execution_plan.width

    @property
    def seats(self) -> int:
        """Members that are trained side by side."""
        return self.width * self.ensemble.mesh.size

    @property
    def chunk_size(self) -> int:
        """Members that are kept in one file."""
        return self.seats * (REFILLS if self.ensemble.config.may_stop else 1)

    def share(self, spans: dict[str, list[Span]]) -> dict[str, list[Span]]:
        """Of all cells' spans, those that this driver trains: all, until it is settled how they are shared out."""
        return read_shard(self.layout.program.spec.compute.shard).part(spans, self.block) if self.block else spans

    def settle(self, runs: Mapping[str, int], execution_plan: ExecutionPlan | None = None) -> None:
        """Finds the arrangement by timing, unless it is given, and compiles what the first steps need.

        Args:
          runs: by cell, how many runs are still to be trained.
          execution_plan: how the program is laid out, if that is settled.

        Raises:
          UserError: if the programs do not fit in memory.
        """
        middle = self._middle()
        rows = middle.rows(np.arange(1))
        if execution_plan:
            if execution_plan != self.execution_plan:
                self.layout.arrange(execution_plan)
            self.execution_plan, timings = execution_plan, self.layout.time(execution_plan.width, rows, middle.max_size)
        else:
            self.execution_plan, timings = self.layout.find(
                rows, middle.max_size, max(runs.values()), self._steps(runs)
            )
        self.ensemble.prepare(rows, self.width, self.ensemble.first)
        self.step_seconds = timings[self.width]

    def compile_rest(self) -> None:
        """Compiles, once it is settled, what would be compiled while the first members are trained.

        Raises:
          UserError: if that does not fit in memory.
        """
        self.ensemble.prepare(self._middle().rows(np.arange(1)), self.width)
        refuse_if_larger(self.ensemble.needed_bytes(self.width), self.ensemble.room, self.width)

    def close(self) -> None:
        """Lets go of those who train for it, if there are any."""

    def _middle(self) -> RunGroup:
        return sorted(self.run_groups.values(), key=lambda run_group: run_group.max_size)[len(self.run_groups) // 2]

    def _steps(self, runs: Mapping[str, int]) -> float:
        """Member steps that each device is going to take."""
        config = self.ensemble.config
        epochs = sum(
            count * -(-self.run_groups[run_group].max_size // config.batch_size) for run_group, count in runs.items()
        )
        return epochs * config.epochs / self.ensemble.mesh.size

    def seconds(self, runs: Mapping[str, int]) -> float:
        """How long so many runs of each cell are going to take, at most, by the steps timed."""
        training = sum(
            count * self.run_groups[run_group].max_size * self.ensemble.config.epochs
            for run_group, count in runs.items()
        )
        work = sum(count * self.work(run_group) for run_group, count in runs.items())
        return self._steps(runs) * self.step_seconds * work / max(training, 1)

    def count(self, finite: np.ndarray) -> None:
        """Takes note of which models diverged and which did not."""
        self.num_seen += len(finite)
        self.num_finite += int(finite.sum())

    def refuse_diverging(self) -> None:
        """Refuses to go on where there were many models, and all have diverged.

        Raises:
          UserError: what to change.
        """
        program = self.layout.program
        # A sweep's other settings may do better, in this program or in the next.
        alone = len(program.settings) == 1 and not program.name
        if alone and self.num_seen >= HOPELESS and not self.num_finite:
            raise UserError(
                f"all of the first {self.num_seen} models diverged (loss not finite, or over ten times a blind "
                "guess's); lower --learning_rate or give --clip_norm"
            )

    def work(self, run_group: str) -> float:
        """The work of one run, in examples trained on."""
        config, look = self.ensemble.config, EXAMINATION * self.ensemble.num_examined
        return config.epochs * (self.run_groups[run_group].max_size + (look if config.epoch_metrics else 0)) + look

    def works(self) -> dict[str, float]:
        """The work of one run of each cell."""
        return {run_group: self.work(run_group) for run_group in self.run_groups}

    def train(
        self,
        chunk: Chunk,
        report: Report,
        checkpoint: Any = None,
        on_weights: Callable[[int, Any], None] | None = None,
    ) -> Arrays:
        """Trains a chunk.

        Args:
          chunk: which.
          report: told of the work as it goes, and first of what a checkpoint spares.
          checkpoint: keeps the training in its middle.
          on_weights: takes each run's number and final weights.

        Raises:
          UserError: if there were many models before, and all have diverged.
          OutOfMemory: if the devices' memory did not do.
        """
        self.refuse_diverging()
        run_group, runs = self.run_groups[chunk.run_group], np.arange(chunk.start, chunk.stop)
        look = EXAMINATION * self.ensemble.num_examined
        began, waited, training = time.perf_counter(), self.ensemble.waited, self.work(chunk.run_group) - look
        # What is measured after each epoch is part of the steps' time.
        step_seconds = self.step_seconds * training / (self.ensemble.config.epochs * run_group.max_size)
        steps_per_call = max(1, int(SECONDS_PER_CALL / (step_seconds * self.width)))
        try:
            outcome = self.ensemble.train(
                run_group.rows(runs),
                self.width,
                run_group.max_size,
                steps_per_call,
                lambda amount: report(amount * training),
                checkpoint,
                on_weights and (lambda i, weights: on_weights(chunk.start + i, weights)),
                lambda amount: report(amount * training, earlier=True),
            )
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemory from None
        report(len(runs) * look)
        self.count(outcome.finite)
        # Waiting for a program that is compiled once is not of these runs.
        seconds = time.perf_counter() - began - (self.ensemble.waited - waited)
        seconds = np.full(len(runs), seconds / len(runs))
        return {"run": runs, "seconds": seconds, **outcome.arrays(), **accuracies(outcome, self.ensemble)}

    def train_all(
        self, store: Store, chunks: list[Chunk], models: ModelFolder | None, *, resume: str, shown: bool
    ) -> None:
        """Trains and keeps chunks; arguments as of `train_missing_runs`."""
        minutes, stop = self.layout.program.spec.compute.checkpoint_minutes, Stop()

        def train(chunk: Chunk, report: Report) -> Arrays:
            checkpoint = store.checkpoint(chunk, minutes, stop)
            on_weights = models and (lambda run, weights: models.write(chunk.run_group, run, weights))
            return self.train(chunk, report, checkpoint, on_weights)

        train_chunks(store, chunks, train, self.works(), resume=resume, shown=shown, stop=stop, share=self.share)


def accuracies(outcome: Outcome, ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Shares of right answers ``[m]`` on examples trained on, for validation, held out, and tested on; NaN of none."""
    count = ensemble.config.num_examples
    trained_on, correct = (
        np.unpackbits(bits, axis=1, count=count).astype(bool) for bits in (outcome.trained_on, outcome.correct)
    )
    validation = np.zeros_like(trained_on)
    if outcome.validation.size:
        validation = np.unpackbits(outcome.validation, axis=1, count=count).astype(bool)
    learnt = trained_on & ~validation
    right = np.unpackbits(outcome.test_correct, axis=1, count=ensemble.num_examined - count)
    return {
        "train_accuracy": row_shares(correct & learnt, learnt.sum(1)),
        "validation_accuracy": row_shares(correct & validation, validation.sum(1)),
        "heldout_accuracy": row_shares(correct & ~trained_on, (~trained_on).sum(1)),
        "test_accuracy": row_shares(right, np.full(len(right), right.shape[1])),
        "final_loss": final_losses(outcome),
    }


def row_shares(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Hits ``[m, n]`` of each row as a share of its count ``[m]``; NaN where that is 0."""
    return np.divide(hits.sum(1), counts, out=np.full(len(hits), np.nan), where=counts > 0)


def final_losses(outcome: Outcome) -> np.ndarray:
    """Mean training loss ``[m]`` of the epoch whose weights were taken."""
    return np.take_along_axis(outcome.loss_curve, np.maximum(outcome.epochs - 1, 0)[:, None], axis=1)[:, 0]
