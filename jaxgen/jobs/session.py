"""Sessions: the resume command and the log of a call."""

from collections.abc import Callable
from typing import NamedTuple


class Session(NamedTuple):
    """One call of a job, from the command line or from Python.

    Attributes:
      resume: how to resume after a stop: the command, or ``call it again``.
      log: called with progress lines; None: no lines and no progress bar.
    """

    resume: str = ""
    log: Callable[[str], None] | None = None

    @property
    def shows_progress(self) -> bool:
        """Whether progress bars are shown."""
        return self.log is not None

    def tell(self, line: str) -> None:
        """Logs a line, if there is a log."""
        if self.log:
            self.log(line)


# The session of a call from Python without output.
QUIET = Session("call it again")
