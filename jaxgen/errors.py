"""Exceptions whose messages are shown to users, and how text is made safe to print."""

import struct
import zipfile
import zlib

# Exceptions that readers of arrays, archives, JSON and images raise for damaged or foreign files. A single flipped bit
# can make an archive look encrypted, or compressed by an unknown method.
UNREADABLE = (
    OSError,
    OverflowError,
    IndexError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


# Longest message in characters; names in untrusted files can be arbitrarily long.
LONGEST = 2000


def printable(text: str) -> str:
    """Escapes control characters, so that text from files cannot control a terminal; line breaks are kept."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Text as one line, shortened to `LONGEST` characters, with control characters escaped."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return text if text.isprintable() else printable(text).replace("\n", " ")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; its type where there is none."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


class UserError(Exception):
    """An error that the user can fix. The message is one line: the flag or file, its value, the rule and the remedy.

    Commands print it without a traceback and exit with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str):
        super().__init__(one_line(message))


class Unfinished(UserError):
    """Not an error: this process has finished its part, others have not. The message says what is missing."""

    exit_code = 0


class NotThere(Unfinished):
    """Only results were requested, but not all models are trained."""

    exit_code = 1


class FailedRuns(UserError):
    """Some runs failed through no fault of the user; all others are finished and stored."""

    exit_code = 1


class Diverged(UserError):
    """No model of a job, or of a part of it, stayed finite; other parts are trained nevertheless."""


class OutOfMemory(Exception):
    """A chunk of runs did not fit into device memory."""


class Interrupted(UserError):
    """The user or the system stopped the program; the message says how to resume."""

    exit_code = 130
