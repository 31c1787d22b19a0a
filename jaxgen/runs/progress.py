"""A progress bar measured in work rather than models, so that its ETA holds when models differ in size."""

import contextlib
import io
import sys
import time
from typing import Protocol

import numpy as np
from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed} < {remaining}]"
# Seconds between two refreshes, on a terminal and in a log file.
TERMINAL_INTERVAL, LOG_INTERVAL = 0.2, 10.0


class ProgressCallback(Protocol):
    """Callback for work done, in any unit.

    With `earlier`, the work was done before this call of the job, and does not count for the ETA.
    """

    def __call__(self, amount: float, *, earlier: bool = False) -> None: ...


class Stream(io.TextIOBase):
    """Standard error as it is now; what cannot be written to it is lost, so that it never ends a job."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = sys.stderr

    def write(self, text: str) -> int:
        """Writes, if that is possible."""
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(text)
                self.stream.flush()
        return len(text)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with contextlib.suppress(ValueError):
            return self.stream is not None and self.stream.isatty()
        return False

    @property
    def encoding(self) -> str:
        """Of the stream: tqdm draws with blocks if it can."""
        return getattr(self.stream, "encoding", None) or "ascii"

    def fileno(self) -> int:
        """Of the stream: tqdm asks for the width of the terminal."""
        if self.stream is None:
            raise io.UnsupportedOperation("there is no standard error")
        return self.stream.fileno()


class ProgressBar:
    """A tqdm bar over work, labelled with the number of models done.

    Args:
      total_work: in any unit, earlier work included.
      num_models: how many there are in all.
      done_before: how many of them were done by earlier calls.
      shown: whether to draw it.
      things: what to call models, in the plural.
    """

    def __init__(self, total_work: float, num_models: int, done_before: int, *, shown: bool, things: str = "models"):
        self.num_models = num_models
        self.things = things
        self.done = done_before
        self.done_now = 0
        self.began = time.perf_counter()
        stream = Stream()
        interval = TERMINAL_INTERVAL if stream.isatty() else LOG_INTERVAL
        self.bar = tqdm(
            total=total_work,
            bar_format=BAR,
            file=stream,
            disable=not shown,
            mininterval=interval,
            maxinterval=interval,
        )
        self._describe()

    def work(self, amount: float, *, earlier: bool = False) -> None:
        """Adds work, as of `ProgressCallback`; a negative amount takes work back."""
        if self.bar.disable:
            return
        # Rounding errors must not exceed the total: tqdm would show a negative time left.
        amount = min(amount, self.bar.total - self.bar.n)
        if earlier:
            # tqdm computes its average rate from `initial` and its recent rate from `last_print_n`.
            self.bar.n, self.bar.initial = self.bar.n + amount, self.bar.initial + amount
            self.bar.last_print_n += amount
        else:
            self.bar.update(amount)

    def models(self, count: int) -> None:
        """Adds finished models."""
        self.done += count
        self.done_now += count
        self._describe()

    def _describe(self) -> None:
        rate = self.done_now / max(time.perf_counter() - self.began, 1e-9)
        rounded = np.format_float_positional(rate, 3, fractional=False, trim="-")
        speed = f", {rounded} {self.things}/s" if self.done_now else ""
        self.bar.set_description_str(f"{self.done:,}/{self.num_models:,} {self.things}{speed}", refresh=False)

    def close(self) -> None:
        """Leaves the bar as it is; may be called twice."""
        self.bar.close()
