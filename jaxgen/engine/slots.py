"""Which row of a table sits in which place of an ensemble: a row that is done makes room for one that waits."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxgen.types import Outcome

# While rows wait, so many of the seats have to be done before all are examined and refilled.
WORTHWHILE = 4


class SlotPool:
    """Rows 0, 1, ... of a table in their seats, and what came of those that have left.

    Attributes:
      rows: int ``[s]``: the row in each seat, -1 in an empty one.
      waiting: the first row that has not been seated yet.
      step: steps of the present epoch that are done, by all alike.
    """

    def __init__(self, num_rows: int, num_seats: int):
        self.num_rows = num_rows
        self.rows = np.full(num_seats, -1)
        self.waiting = self.step = 0
        self.position = np.zeros(num_seats)
        self.found: dict[int, Outcome] = {}

    @property
    def taken(self) -> np.ndarray:
        """Bool ``[s]``: which seats have a row."""
        return self.rows >= 0

    def slot(self, free: np.ndarray) -> np.ndarray:
        """Fills the `free` seats, bool ``[s]``, as far as rows wait; returns which were filled."""
        self.rows[free] = -1
        chosen = np.flatnonzero(free)[: self.num_rows - self.waiting]
        self.rows[chosen] = self.waiting + np.arange(len(chosen))
        self.waiting += len(chosen)
        self.position[chosen] = 0
        fresh = np.zeros_like(free)
        fresh[chosen] = True
        return fresh

    def should_retire(self, done: np.ndarray) -> bool:
        """Whether enough members are done to examine them: all, or a good part of them while others wait."""
        ended, taken = int((self.taken & done).sum()), int(self.taken.sum())
        waits = self.waiting < self.num_rows
        return self.step == 0 and (ended == taken or (waits and ended >= max(1, len(self.rows) // WORTHWHILE)))

    def empty(self, ended: np.ndarray, outcome: Outcome, epochs: int, on_work: Callable[[float], None]) -> None:
        """Notes what came of the members in the `ended` seats; the epochs they did not need are work done."""
        for slot in np.flatnonzero(ended):
            self.found[int(self.rows[slot])] = jax.tree.map(lambda field, slot=slot: field[slot], outcome)
        on_work(float((1 - self.position[ended] / epochs).sum()))
        self.rows[ended] = -1

    def tell_work(
        self, epoch: np.ndarray, done: np.ndarray, share: float, epochs: int, on_work: Callable[[float], None]
    ) -> None:
        """Tells of the work since the last call, in whole trainings of a member.

        Args:
          epoch: int ``[s]``, epochs finished.
          done: bool ``[s]``, who rests.
          share: of the present epoch, what is done.
          epochs: of a whole training.
          on_work: is told.
        """
        position = np.where(done, epoch, epoch + share)
        on_work(float((position - self.position)[self.taken].sum() / epochs))
        self.position[self.taken] = position[self.taken]

    def done_work(self, epochs: int) -> float:
        """All that has been told of, in whole trainings of a member."""
        return len(self.found) + float(self.position[self.taken].sum()) / epochs

    def state(self) -> dict[str, Any]:
        """All of it, as arrays."""
        done = sorted(self.found)
        found: dict[str, Any] = {}
        if done:
            fields = stack([self.found[row] for row in done]).arrays()
            # Nothing empty, such as answers on no test set: what keeps the arrays may have no place for that.
            fields = {name: field for name, field in fields.items() if field.size}
            found = {"done": np.asarray(done), "found": fields}
        return {
            "rows": self.rows.copy(),
            "waiting": np.asarray(self.waiting),
            "step": np.asarray(self.step),
            "position": self.position.copy(),
            **found,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave."""
        self.rows, self.position = np.array(state["rows"]), np.array(state["position"])
        self.waiting, self.step = int(state["waiting"]), int(state["step"])
        done = np.asarray(state.get("done", ()), int)
        if not len(done):
            return
        nothing = dict.fromkeys(Outcome._fields[:-1], np.zeros((len(done), 0), np.uint8))
        arrays = {**nothing, **{name: np.asarray(field) for name, field in state["found"].items()}}
        outcome = Outcome.from_arrays(arrays, sorted(state["found"].keys() - nothing.keys()))
        for i, row in enumerate(done):
            self.found[int(row)] = jax.tree.map(lambda field, i=i: field[i], outcome)

    def outcome(self) -> Outcome:
        """What came of all rows, in their order."""
        return stack([self.found[row] for row in range(self.num_rows)])


def stack(outcomes: list[Outcome]) -> Outcome:
    """Outcomes of single rows as one."""
    return jax.tree.map(lambda *fields: np.stack(fields), *outcomes)
