"""Ctrl-C and SIGTERM: the first signal requests a stop at the next safe point, the second stops at once."""

import contextlib
import signal
from collections.abc import Iterator

from jaxgen.io.process import say

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A request to stop.

    Attributes:
      requested: whether one was made.
    """

    requested = False

    def raise_if_requested(self) -> None:
        """Call at points where stopping is safe.

        Raises:
          KeyboardInterrupt: if a stop was requested.
        """
        if self.requested:
            raise KeyboardInterrupt


@contextlib.contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """Routes the signals to `stop` inside the block; does nothing outside the main thread."""

    def handle(number: int, frame: object) -> None:
        stop.raise_if_requested()
        stop.requested = True
        say("\nstopping; once more to stop at once")

    previous = {}
    try:
        try:
            for number in SIGNALS:
                # A handler that a program in C has set, which embeds Python, could not be put back.
                if signal.getsignal(number) is not None:
                    previous[number] = signal.signal(number, handle)
        except ValueError:
            # Only the main thread may set handlers.
            pass
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
