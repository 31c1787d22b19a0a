"""The progress bar: measured in work, not in models, so that its ETA is honest when models differ in size."""

import sys
import time
from typing import Protocol

import numpy as np
from tqdm import tqdm

BAR = "{percentage:3.0f}%|{bar}| {desc} [{elapsed} < {remaining}]"
# Seconds between two drawings: on a terminal, and in a log file.
ON_TERMINAL, IN_LOG = 0.2, 10.0


class Report(Protocol):
    """Is told of work done, in any unit: now, or by an earlier call of the same job."""

    def __call__(self, amount: float, *, earlier: bool = False) -> None: ...


class ProgressBar:
    """A bar over `total_work` (any unit) and `num_models`, or other `things`, of which some were done before.

    Only work done now counts for the ETA. Silent if `shown` is False.
    """

    def __init__(self, total_work: float, num_models: int, done_before: int, *, shown: bool, things: str = "models"):
        self.num_models = num_models
        self.things = things
        self.done = done_before
        self.now = 0
        self.began = time.perf_counter()
        interval = ON_TERMINAL if sys.stderr.isatty() else IN_LOG
        self.bar = tqdm(
            total=total_work,
            bar_format=BAR,
            file=sys.stderr,
            disable=not shown,
            mininterval=interval,
            maxinterval=interval,
        )
        self._describe()

    def work(self, amount: float, *, earlier: bool = False) -> None:
        if self.bar.disable:
            return
        # Rounding must not end above the total, for which tqdm has a negative time left.
        amount = min(amount, self.bar.total - self.bar.n)
        if earlier:
            # What tqdm takes its rate from: neither the whole nor the last stretch has this in it.
            self.bar.n, self.bar.initial = self.bar.n + amount, self.bar.initial + amount
            self.bar.last_print_n += amount
        else:
            self.bar.update(amount)

    def models(self, count: int) -> None:
        self.done += count
        self.now += count
        self._describe()

    def _describe(self) -> None:
        rate = self.now / max(time.perf_counter() - self.began, 1e-9)
        told = np.format_float_positional(rate, 3, fractional=False, trim="-")
        speed = f", {told} {self.things}/s" if self.now else ""
        self.bar.set_description_str(f"{self.done:,}/{self.num_models:,} {self.things}{speed}", refresh=False)

    def close(self) -> None:
        self.bar.close()
