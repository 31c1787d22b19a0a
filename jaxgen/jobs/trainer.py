"""Trains chunks of one program's members in this process, with an execution plan chosen by timing."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.engine.ensemble import Ensemble
from jaxgen.errors import Diverged, OutOfMemory
from jaxgen.jobs.execution_plan import ExecutionPlan
from jaxgen.jobs.layout import Layout, is_out_of_memory, refuse_if_larger
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, Plan, Span
from jaxgen.runs.progress import ProgressCallback
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.shards import block_size, read_shard
from jaxgen.runs.signals import Stop
from jaxgen.runs.store import Arrays, Store
from jaxgen.types import Outcome

# Seconds of training per call into JAX; the progress bar and Ctrl-C are served between calls.
SECONDS_PER_CALL = 0.5
# The job is refused once this many models were trained and all have diverged.
MAX_DIVERGED = 10
# Cost of evaluating an example relative to training on it: a forward pass alone is about a third of the arithmetic.
EVAL_COST = 1 / 3
# Where members may stop early, a chunk has this many members per slot, so that slots are refilled.
REFILLS = 8


class RunGroup(NamedTuple):
    """Members of one program at one subset ratio.

    Attributes:
      rows: from run numbers ``[m]`` to the rows of the runs.
      max_size: number of examples in the largest subset that a run of the group trains on.
    """

    rows: Callable[[np.ndarray], Any]
    max_size: int


class Trainer:
    """Trains chunks of a program's members. Call `configure` first.

    Args:
      layout: builds the program's ensembles.
      run_groups: all run groups of the program, by name.
      log: called with progress lines.

    Attributes:
      execution_plan: in effect; None before `configure`.
      block: number of consecutive runs that one driver trains where several share a store; None: not shared yet.
      step_seconds: measured time per member and step on one device.
      num_seen: models counted by `count`.
      num_finite: those of them that did not diverge.
    """

    def __init__(self, layout: Layout, run_groups: Mapping[str, RunGroup], log: Callable[[str], None]):
        self.layout, self.run_groups, self.log = layout, run_groups, log
        self.execution_plan: ExecutionPlan | None = None
        self.block: int | None = None
        self.step_seconds = 0.0
        self.num_seen = self.num_finite = 0

    @property
    def ensemble(self) -> Ensemble:
        """The program's ensemble under the execution plan in effect."""
        return self.layout.ensemble

    @property
    def devices(self) -> str:
        """Number and kind of the devices, as text."""
        mesh = self.ensemble.mesh.devices
        return f"{mesh.size} {mesh.flat[0].device_kind} device(s)"

    @property
    def width(self) -> int:
        """Members per device in one batched program."""
        return self.execution_plan.width

    @property
    def slots(self) -> int:
        """Members trained at the same time, on all devices together."""
        return self.width * self.ensemble.mesh.size

    @property
    def chunk_size(self) -> int:
        """Members in one chunk."""
        return self.slots * (REFILLS if self.ensemble.config.may_stop else 1)

    def share(self, spans: dict[str, list[Span]]) -> dict[str, list[Span]]:
        """The spans that this process trains, of those of all run groups; all of them until `block` is known."""
        return read_shard(self.layout.program.spec.compute.shard).part(spans, self.block) if self.block else spans

    def choose_block(self, plan: Plan) -> None:
        """Sets the block size in the execution plan, for a plan of which no run has been trained yet."""
        shard = read_shard(self.layout.program.spec.compute.shard)
        block = block_size(plan, self.chunk_size, shard)
        self.execution_plan = self.execution_plan._replace(block=block)

    def share_by(self, execution_plan: ExecutionPlan) -> None:
        """From now on, `share` selects blocks of the size in a recorded execution plan."""
        # Plans recorded before blocks existed were shared by width.
        self.block = execution_plan.block or execution_plan.width

    def configure(self, runs: Mapping[str, int], execution_plan: ExecutionPlan | None = None) -> None:
        """Puts an execution plan into effect, chosen by timing unless given, and compiles the first steps.

        Args:
          runs: number of runs still to be trained, by run group.
          execution_plan: the recorded one, if any.

        Raises:
          UserError: if the programs do not fit into memory.
        """
        group = self._median_group()
        rows = group.rows(np.arange(1))
        if execution_plan:
            if execution_plan != self.execution_plan:
                self.layout.apply(execution_plan)
            self.execution_plan = execution_plan
            timings = self.layout.time_width(execution_plan.width, rows, group.max_size)
        else:
            self.execution_plan, timings = self.layout.autotune(
                rows, group.max_size, max(runs.values()), self._steps(runs)
            )
        self.ensemble.prepare(rows, self.width, self.ensemble.first)
        self.step_seconds = timings[self.width]

    def compile_rest(self) -> None:
        """Compiles the programs that training would compile in the background; call after `configure`.

        Raises:
          UserError: if they do not fit into memory.
        """
        self.ensemble.prepare(self._median_group().rows(np.arange(1)), self.width)
        refuse_if_larger(self.ensemble.needed_bytes(self.width), self.ensemble.room, self.width)

    def close(self) -> None:
        """Releases workers, if there are any."""

    def _median_group(self) -> RunGroup:
        """The run group of median size, which is timed."""
        return sorted(self.run_groups.values(), key=lambda run_group: run_group.max_size)[len(self.run_groups) // 2]

    def _steps(self, runs: Mapping[str, int]) -> float:
        """Number of member steps per device that these runs take."""
        config = self.ensemble.config
        epochs = sum(
            count * -(-self.run_groups[run_group].max_size // config.batch_size) for run_group, count in runs.items()
        )
        return epochs * config.epochs / self.ensemble.mesh.size

    def seconds(self, runs: Mapping[str, int]) -> float:
        """Upper estimate of the time for so many runs of each run group, in seconds, from the timed steps."""
        training = sum(
            count * self.run_groups[run_group].max_size * self.ensemble.config.epochs
            for run_group, count in runs.items()
        )
        work = sum(count * self.work(run_group) for run_group, count in runs.items())
        return self._steps(runs) * self.step_seconds * work / max(training, 1)

    def count(self, finite: np.ndarray) -> None:
        """Counts models, given which ones are finite: bool ``[m]``."""
        self.num_seen += len(finite)
        self.num_finite += int(finite.sum())

    def refuse_diverging(self) -> None:
        """Stops the job if all of the first `MAX_DIVERGED` models or more have diverged.

        Raises:
          UserError: if so.
        """
        program = self.layout.program
        # Other settings of a sweep may not diverge.
        is_only_setting = len(program.settings) == 1 and not program.name
        if is_only_setting and self.num_seen >= MAX_DIVERGED and not self.num_finite:
            raise Diverged(
                f"all of the first {self.num_seen} models diverged (loss not finite, or over ten times a blind "
                "guess's); lower --learning_rate or give --clip_norm"
            )

    def work(self, run_group: str) -> float:
        """Work of one run, in examples trained on; evaluations count `EVAL_COST` an example."""
        config, eval_work = self.ensemble.config, self._eval_work()
        per_epoch = self.run_groups[run_group].max_size + (eval_work if config.epoch_metrics else 0)
        return config.epochs * per_epoch + eval_work

    def _eval_work(self) -> float:
        """Work of evaluating one model on all examples."""
        return EVAL_COST * self.ensemble.num_evaluated

    def work_by_group(self) -> dict[str, float]:
        """Work of one run, by run group."""
        return {run_group: self.work(run_group) for run_group in self.run_groups}

    def train(
        self,
        chunk: Chunk,
        report: ProgressCallback,
        checkpoint: Any = None,
        on_weights: Callable[[int, Any], None] | None = None,
    ) -> Arrays:
        """Trains a chunk.

        Args:
          chunk: to train.
          report: called with the work done; first with the work restored from a checkpoint, as `earlier`.
          checkpoint: saves and restores the training state (`jaxgen.runs.checkpoints.DiskCheckpoint`), if wanted.
          on_weights: called with each run's number and final weights, if wanted.

        Returns:
          The chunk's arrays, one row a run.

        Raises:
          UserError: as `refuse_diverging`.
          OutOfMemory: if a device runs out of memory.
        """
        self.refuse_diverging()
        run_group, runs = self.run_groups[chunk.run_group], np.arange(chunk.start, chunk.stop)
        eval_work = self._eval_work()
        began, waited, training_work = time.perf_counter(), self.ensemble.waited, self.work(chunk.run_group) - eval_work
        # Evaluation after each epoch is spread over the steps.
        step_seconds = self.step_seconds * training_work / (self.ensemble.config.epochs * run_group.max_size)
        steps_per_call = max(1, int(SECONDS_PER_CALL / (step_seconds * self.width)))
        try:
            outcome = self.ensemble.train(
                run_group.rows(runs),
                self.width,
                run_group.max_size,
                steps_per_call,
                lambda amount: report(amount * training_work),
                checkpoint,
                on_weights and (lambda i, weights: on_weights(chunk.start + i, weights)),
                lambda amount: report(amount * training_work, earlier=True),
            )
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory from None
        report(len(runs) * eval_work)
        self.count(outcome.finite)
        # The wait for a compilation is not part of these runs' time.
        seconds = time.perf_counter() - began - (self.ensemble.waited - waited)
        seconds = np.full(len(runs), seconds / len(runs))
        return {"run": runs, "seconds": seconds, **outcome.arrays(), **accuracies(outcome, self.ensemble)}

    def train_all(
        self, store: Store, chunks: list[Chunk], models: ModelFolder | None, *, resume: str, shown: bool
    ) -> None:
        """As `jaxgen.runs.launch.train_chunks`; the weights go to `models`, if given."""
        work, minutes = self.work_by_group(), self.layout.program.spec.compute.checkpoint_minutes
        stop = Stop()

        def train(chunk: Chunk, report: ProgressCallback) -> Arrays:
            checkpoint = store.checkpoint(chunk, minutes, stop)
            on_weights = models and (lambda run, weights: models.write(chunk.run_group, run, weights))
            return self.train(chunk, report, checkpoint, on_weights)

        train_chunks(store, chunks, train, work, resume=resume, shown=shown, stop=stop, share=self.share)


def accuracies(outcome: Outcome, ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Final loss, and accuracies on training, validation, held-out and test examples; ``[m]``, NaN where none exist.

    They are stored with each run, for tables of settings and ``results.csv``. A C-score job's own table is computed
    from the predictions (`jaxgen.scores.heldout`).
    """
    count = ensemble.config.num_examples
    trained_on, correct = (
        np.unpackbits(bits, axis=1, count=count).astype(bool) for bits in (outcome.trained_on, outcome.correct)
    )
    validation = np.zeros_like(trained_on)
    if outcome.validation.size:
        validation = np.unpackbits(outcome.validation, axis=1, count=count).astype(bool)
    learnt = trained_on & ~validation
    right = np.unpackbits(outcome.test_correct, axis=1, count=ensemble.num_evaluated - count)
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
    """Mean training loss ``[m]`` of the epoch whose weights were kept."""
    return np.take_along_axis(outcome.loss_curve, np.maximum(outcome.epochs - 1, 0)[:, None], axis=1)[:, 0]
