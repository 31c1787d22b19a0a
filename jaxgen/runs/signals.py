"""Ctrl-C and SIGTERM: the first asks for a stop at the next good moment, the second stops at once."""

import contextlib
import signal
import sys
from collections.abc import Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a stop was asked for."""

    asked = False

    def heed(self) -> None:
        """Raises KeyboardInterrupt if so: this is a good moment."""
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """Has the signals ask for a `stop` meanwhile, where this thread may set signal handlers."""

    def ask(number: int, frame: object) -> None:
        stop.heed()
        stop.asked = True
        print("\nstopping; once more to stop at once", file=sys.stderr, flush=True)

    before = {}
    try:
        try:
            for number in NUMBERS:
                before[number] = signal.signal(number, ask)
        except ValueError:
            # Not the main thread: the signals go to whoever is.
            pass
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
