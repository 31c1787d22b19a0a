"""What a job is told by whoever started it: how it may be resumed, and where lines about it go."""

from collections.abc import Callable
from typing import NamedTuple


class Session(NamedTuple):
    """One call of a job, from the command line or from Python.

    Attributes:
      resume: how to go on, for one who stops it: the command, or ``call it again``.
      log: takes lines about what is going on; with None there is no progress bar either.
    """

    resume: str = ""
    log: Callable[[str], None] | None = None

    @property
    def shows_progress(self) -> bool:
        """Whether progress bars are shown."""
        return self.log is not None

    def tell(self, line: str) -> None:
        """Logs a line, if anybody listens."""
        if self.log:
            self.log(line)


# A call from Python that shows nothing.
QUIET = Session("call it again")
