"""Sessions: the resume command and the log of a call, and what is logged first."""

import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

from jaxgen.data.describe import describe_data, describe_notes
from jaxgen.types import Dataset


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


class Preface:
    """Lines that stand before all others of a session, and are not logged before the first of these.

    So a mistake that is found before anything else is told is one line.

    Args:
      session: to log in.
      lines: the lines.
    """

    def __init__(self, session: Session, lines: Iterable[str]):
        self.session, self.lines = session, list(lines)

    def flush(self) -> None:
        """Logs those lines that have not been logged."""
        while self.lines:
            self.session.tell(self.lines.pop(0))

    def log(self, line: str) -> None:
        """Logs a line after the preface."""
        self.flush()
        self.session.tell(line)


def tell_of_data(dataset: Dataset, session: Session) -> Session:
    """The session of a call from Python that tells what was read before anything else.

    Without a log, what was left out, changed or assumed is a warning.
    """
    if not session.log:
        for note in describe_notes(dataset):
            warnings.warn(note, UserWarning, stacklevel=4)
        return session
    return session._replace(log=Preface(session, describe_data(dataset)).log)


# The session of a call from Python without output.
QUIET = Session("call it again")
