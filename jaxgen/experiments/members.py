"""Training a plan's missing runs: what every experiment shares between its table of members and its store."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.engine.ensemble import Ensemble
from jaxgen.engine.learner import num_parameters, state_bytes
from jaxgen.engine.width import candidates, choose_width, first_guess, time_step
from jaxgen.errors import UserError
from jaxgen.optim import STRENGTHS, Knobs
from jaxgen.runs.devices import memory_budget
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, cut_chunks
from jaxgen.runs.store import FINITE, WIDTH, Arrays, Store
from jaxgen.spec import TrainSpec
from jaxgen.types import Outcome

# The host gets its turn about so often: for the progress bar, and for Ctrl-C.
SECONDS_PER_CALL = 0.5
# After so many models, all diverged, the others are not worth the wait.
HOPELESS = 10
# Examining an example costs a forward pass, training on it a backward pass too: about a third of the arithmetic.
EXAMINATION = 1 / 3


class Cell(NamedTuple):
    """One setting of a table of members.

    Attributes:
      rows: from run numbers to the rows of the runs.
      max_size: the size of the largest subset that a run of this cell trains on.
    """

    rows: Callable[[np.ndarray], Any]
    max_size: int


class Trained(NamedTuple):
    """What `train_missing_runs` did: models and seconds of this call."""

    models: int
    seconds: float


class Trainer:
    """Trains chunks of a table of members, at a width that `settle` finds.

    Args:
      ensemble: trains rows.
      cells: every setting by name.
      say: takes lines about what is going on.
    """

    def __init__(self, ensemble: Ensemble, cells: Mapping[str, Cell], say: Callable[[str], None]):
        self.ensemble, self.cells, self.say = ensemble, cells, say
        self.width = self.steps_per_call = 0
        self.num_seen = self.num_finite = 0

    @property
    def chunk_size(self) -> int:
        """Members that are trained side by side."""
        return self.width * self.ensemble.mesh.size

    def settle(self, runs: Mapping[str, int], wanted: int | None) -> None:
        """Finds the width, by timing if `wanted` is None, and compiles all programs.

        Args:
          runs: by cell, how many runs are still to be trained.
          wanted: the width, if it is settled.

        Raises:
          UserError: if the programs do not fit in memory.
        """
        budget = memory_budget(list(self.ensemble.mesh.devices.flat))
        middle = sorted(self.cells.values(), key=lambda cell: cell.max_size)[len(self.cells) // 2]
        rows, timings, spent = middle.rows(np.arange(1)), {}, [0.0]

        def timed(width: int) -> float:
            began = time.perf_counter()
            self.ensemble.prepare(rows, width, ["advance"])
            timings[width] = math.inf
            if self.ensemble.needed_bytes(width) <= budget:
                timings[width] = time_step(self.ensemble, rows, width, middle.max_size, clock=time.perf_counter)
            spent.append(time.perf_counter() - began)
            return timings[width]

        if wanted:
            self.width, why = wanted, "as settled"
            timed(wanted)
        else:
            widths, start = self._widths(rows, max(runs.values()), budget)
            choice = choose_width(timed, widths, start, steps=self._steps(runs), cost=lambda: spent[-1])
            self.width, why = choice.width, choice.why
        self.ensemble.prepare(rows, self.width)
        refuse_if_larger(self.ensemble.needed_bytes(self.width), budget, self.width)
        self.steps_per_call = max(1, int(SECONDS_PER_CALL / (timings[self.width] * self.width)))
        self.say(self._describe(why, timings))

    def _describe(self, why: str, timings: Mapping[int, float]) -> str:
        """One line: the width, why it was taken, and what was timed."""
        fitting = (width for width in sorted(timings) if timings[width] < math.inf)
        listed = ", ".join(f"{1e6 * timings[width]:,.0f} us at width {width}" for width in fitting)
        devices = self.ensemble.mesh.devices
        return (
            f"width {self.width} on {devices.size} {devices.flat[0].platform} device(s), {why}; a step of one model on "
            f"one device takes {listed}"
        )

    def _widths(self, rows: Any, most_runs: int, budget: int) -> tuple[list[int], int]:
        """The candidates, and where among them to begin."""
        recipe, platform = self.ensemble.recipe, jax.devices()[0].platform
        knobs = jax.eval_shape(lambda row: recipe.enrol(row)[2], jax.tree.map(lambda field: field[0], rows))
        # State, gradients and temporaries; subset, order and answers of every example.
        member_bytes = 4 * state_bytes(recipe.learner, knobs) + 24 * self.ensemble.num_examined
        widths = candidates(platform, member_bytes, budget, most_runs, self.ensemble.mesh.size)
        return widths, first_guess(4 * num_parameters(recipe.learner, knobs), platform)

    def _steps(self, runs: Mapping[str, int]) -> float:
        """Member steps that each device is going to take."""
        recipe = self.ensemble.recipe
        epochs = sum(count * -(-self.cells[cell].max_size // recipe.batch_size) for cell, count in runs.items())
        return epochs * recipe.epochs / self.ensemble.mesh.size

    def count(self, finite: np.ndarray) -> None:
        """Takes note of which models diverged and which did not."""
        self.num_seen += len(finite)
        self.num_finite += int(finite.sum())

    def work(self, cell: str) -> float:
        """The work of one run, in examples trained on."""
        return self.ensemble.recipe.epochs * self.cells[cell].max_size + EXAMINATION * self.ensemble.num_examined

    def train(self, chunk: Chunk, report: Callable[[float], None]) -> Arrays:
        """Trains a chunk, telling `report` of its work as it goes.

        Raises:
          UserError: if there were many models before, and all have diverged.
        """
        if self.num_seen >= HOPELESS and not self.num_finite:
            raise UserError(
                f"all of the first {self.num_seen} models diverged (loss not finite, or over ten times a blind "
                "guess's); lower --learning_rate or give --clip_norm"
            )
        cell, runs = self.cells[chunk.cell], np.arange(chunk.start, chunk.stop)
        began = time.perf_counter()
        training = len(runs) * self.ensemble.recipe.epochs * cell.max_size
        outcome = self.ensemble.train(
            cell.rows(runs), self.width, cell.max_size, self.steps_per_call, lambda share: report(share * training)
        )
        report(len(runs) * EXAMINATION * self.ensemble.num_examined)
        self.count(outcome.finite)
        seconds = np.full(len(runs), (time.perf_counter() - began) / len(runs))
        return {"run": runs, "seconds": seconds, **outcome._asdict(), **accuracies(outcome, self.ensemble)}


def train_missing_runs(trainer: Trainer, store: Store, width: int | None, *, resume: str, shown: bool) -> Trained:
    """Trains and keeps all runs of the store's plan that are missing.

    Args:
      trainer: knows the plan's cells.
      store: what is done, and where new chunks go.
      width: the width, if it is settled.
      resume: how to go on, for one who stops it.
      shown: whether to show a progress bar.

    Raises:
      UserError: if everything diverges.
      Interrupted: if stopped; finished chunks are kept.
    """
    store.verify(trainer.say)
    missing = {cell: sum(span.stop - span.start for span in spans) for cell, spans in store.missing().items()}
    if not any(missing.values()):
        return Trained(0, 0.0)
    for cell in store.plan.cells:
        for arrays in store.runs(cell):
            trainer.count(arrays[FINITE])
    trainer.settle(missing, width)
    settled = store.settle({WIDTH: trainer.width})[WIDTH]
    if settled != trainer.width:
        # Another driver of the same job was faster.
        trainer.settle(missing, settled)
    chunks = cut_chunks(store.missing(), trainer.chunk_size)
    seconds = train_chunks(store, chunks, trainer.train, trainer.work, resume=resume, shown=shown)
    return Trained(sum(missing.values()), seconds)


def refuse_if_larger(needed: int, budget: int, width: int) -> None:
    """Holds the bytes that programs need on each device against those that they may take."""
    if needed > budget:
        raise UserError(
            f"--width={width}: its programs need {needed / 1e6:.0f} MB on each device, and {budget / 1e6:.0f} MB may "
            "be taken; lower --width, --num_devices or --batch_size"
        )


def accuracies(outcome: Outcome, ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Shares of right answers ``[m]`` on examples trained on, held out, and of the test set; NaN of none."""
    count = ensemble.recipe.num_examples
    trained_on, correct = (
        np.unpackbits(bits, axis=1, count=count).astype(bool) for bits in (outcome.trained_on, outcome.correct)
    )
    right = np.unpackbits(outcome.test_correct, axis=1, count=ensemble.num_examined - count)
    share = lambda hits, of: np.divide(hits.sum(1), of, out=np.full(len(hits), np.nan), where=of > 0)  # noqa: E731
    return {
        "train_accuracy": share(correct & trained_on, trained_on.sum(1)),
        "heldout_accuracy": share(correct & ~trained_on, (~trained_on).sum(1)),
        "test_accuracy": share(right, np.full(len(right), right.shape[1])),
        "final_loss": outcome.loss_curve[:, -1],
    }


def constant_knobs(train: TrainSpec) -> Knobs:
    """One member's knobs where all members have the flags' values."""
    names = ("learning_rate", "momentum", *STRENGTHS)
    return {name: np.float32(getattr(train, name)) for name in names}


def links_in_use(train: TrainSpec) -> frozenset[str]:
    """The optimizer's links that the flags call for."""
    return frozenset(name for name in STRENGTHS if getattr(train, name) > 0)


def tell(line: str) -> None:
    """Says what is going on: on standard error, so that results can be piped."""
    print(line, file=sys.stderr, flush=True)
