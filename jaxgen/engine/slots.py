"""Slots of an ensemble: which row is trained in which slot; waiting rows take the slots of finished members."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxgen.types import Outcome

# While rows wait, members are retired once one in so many slots is done: retiring evaluates all members.
WORTHWHILE = 4


class SlotPool:
    """Rows 0, 1, ... of a table in s slots, and the outcomes of retired rows.

    Attributes:
      rows: int ``[s]``: the row in each slot, -1 in an empty one.
      waiting: the next row to admit.
      step: finished steps of the current epoch, the same for all members.
      position: float ``[s]``: epochs done that have been reported as work.
      outcomes: of retired rows, by row number.
    """

    def __init__(self, num_rows: int, num_slots: int):
        self.num_rows = num_rows
        self.rows = np.full(num_slots, -1)
        self.waiting = self.step = 0
        self.position = np.zeros(num_slots)
        self.outcomes: dict[int, Outcome] = {}

    @property
    def taken(self) -> np.ndarray:
        """Bool ``[s]``: which slots have a row."""
        return self.rows >= 0

    def admit(self, free: np.ndarray) -> np.ndarray:
        """Admits waiting rows to the `free` slots, bool ``[s]``; returns which slots were filled, bool ``[s]``."""
        self.rows[free] = -1
        filled = np.flatnonzero(free)[: self.num_rows - self.waiting]
        self.rows[filled] = self.waiting + np.arange(len(filled))
        self.waiting += len(filled)
        self.position[filled] = 0
        fresh = np.zeros_like(free)
        fresh[filled] = True
        return fresh

    def should_retire(self, done: np.ndarray) -> bool:
        """Whether to evaluate the members that are done: if all are, or, while rows wait, at least a share of them."""
        ended, taken = int((self.taken & done).sum()), int(self.taken.sum())
        waits = self.waiting < self.num_rows
        return self.step == 0 and (ended == taken or (waits and ended >= max(1, len(self.rows) // WORTHWHILE)))

    def retire(self, ended: np.ndarray, outcome: Outcome, epochs: int, on_work: Callable[[float], None]) -> None:
        """Stores the outcomes of the members in the `ended` slots; their remaining epochs count as work done."""
        for slot in np.flatnonzero(ended):
            self.outcomes[int(self.rows[slot])] = jax.tree.map(lambda field, slot=slot: field[slot], outcome)
        on_work(float((1 - self.position[ended] / epochs).sum()))
        self.rows[ended] = -1

    def report_work(
        self, epoch: np.ndarray, done: np.ndarray, share: float, epochs: int, on_work: Callable[[float], None]
    ) -> None:
        """Reports the work since the last call, in whole trainings of a member.

        Args:
          epoch: int ``[s]``, epochs finished.
          done: bool ``[s]``, which members are done.
          share: the part of the present epoch that is done.
          epochs: of a whole training.
          on_work: takes the work.
        """
        position = np.where(done, epoch, epoch + share)
        on_work(float((position - self.position)[self.taken].sum() / epochs))
        self.position[self.taken] = position[self.taken]

    def done_work(self, epochs: int) -> float:
        """All work that has been reported, in whole trainings of a member."""
        return len(self.outcomes) + float(self.position[self.taken].sum()) / epochs

    def state(self) -> dict[str, Any]:
        """The pool as arrays, for a checkpoint."""
        done = sorted(self.outcomes)
        kept: dict[str, Any] = {}
        if done:
            fields = stack([self.outcomes[row] for row in done]).arrays()
            # Without empty arrays, such as predictions without a test set, which checkpoints cannot hold.
            fields = {name: field for name, field in fields.items() if field.size}
            kept = {"done": np.asarray(done), "found": fields}
        return {
            "rows": self.rows.copy(),
            "waiting": np.asarray(self.waiting),
            "step": np.asarray(self.step),
            "position": self.position.copy(),
            **kept,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.rows, self.position = np.array(state["rows"]), np.array(state["position"])
        self.waiting, self.step = int(state["waiting"]), int(state["step"])
        done = np.asarray(state.get("done", ()), int)
        if not len(done):
            return
        empty = dict.fromkeys(Outcome._fields[:-1], np.zeros((len(done), 0), np.uint8))
        arrays = {**empty, **{name: np.asarray(field) for name, field in state["found"].items()}}
        outcome = Outcome.from_arrays(arrays, sorted(state["found"].keys() - empty.keys()))
        for i, row in enumerate(done):
            self.outcomes[int(row)] = jax.tree.map(lambda field, i=i: field[i], outcome)

    def outcome(self) -> Outcome:
        """The outcomes of all rows, in their order."""
        return stack([self.outcomes[row] for row in range(self.num_rows)])


def stack(outcomes: list[Outcome]) -> Outcome:
    """Stacks the outcomes of single rows."""
    return jax.tree.map(lambda *fields: np.stack(fields), *outcomes)
