"""What a user is told when something cannot be done."""

import struct
import zipfile
import zlib

# What readers of arrays, archives, JSON and pictures raise for a damaged or foreign file: one flipped bit can make an
# archive look encrypted or compressed in an unknown way.
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


# As long as a line for the user gets; names in hostile files have no end.
LONGEST = 2000


def printable(text: str) -> str:
    """Text that a terminal shows as it is, and is not commanded by; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Text as one line: what is in files may break lines, or command the terminal."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return text if text.isprintable() else printable(text).replace("\n", " ")


class UserError(Exception):
    """A mistake its reader can mend: one line naming the flag or file, its value, the rule and the remedy.

    Entries print it without a traceback and exit with `exit_code`.
    """

    exit_code = 2

    def __init__(self, said: str):
        super().__init__(one_line(said))


class Unfinished(UserError):
    """No mistake: this driver's share is done, and that of others is not; the message says what is missing."""

    exit_code = 0


class NotThere(Unfinished):
    """Results were asked for, and nothing else, of models that are not all there."""

    exit_code = 1


class FailedRuns(UserError):
    """Runs that failed for no fault of the user's; the others are done and kept."""

    exit_code = 1


class OutOfMemory(Exception):
    """A chunk did not fit into the devices' memory."""


class Interrupted(UserError):
    """The user or the system asked the program to stop; the message says how to go on."""

    exit_code = 130
