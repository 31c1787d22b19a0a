"""What a user is told when something cannot be done."""

import zipfile
import zlib

# What NumPy, zipfile and zlib raise for a damaged or foreign .npz: one flipped bit can make an archive look encrypted
# or compressed in an unknown way.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class UserError(Exception):
    """A mistake its reader can mend: one line naming the flag or file, its value, the rule and the remedy.

    Entries print it without a traceback and exit with `exit_code`.
    """

    exit_code = 2


class Unfinished(UserError):
    """No mistake: this driver's share is done, and that of others is not; the message says what is missing."""

    exit_code = 0


class FailedRuns(UserError):
    """Runs that failed for no fault of the user's; the others are done and kept."""

    exit_code = 1


class OutOfMemory(Exception):
    """A chunk did not fit into the devices' memory."""


class Interrupted(UserError):
    """The user or the system asked the program to stop; the message says how to go on."""

    exit_code = 130
