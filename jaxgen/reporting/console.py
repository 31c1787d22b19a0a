"""Progress lines on standard error, results on standard output."""

import os
import pathlib
import sys
from collections.abc import Sequence

from jaxgen.errors import UserError, one_line, printable
from jaxgen.io.process import say


def log(line: str) -> None:
    """Prints a line on standard error, so that results on standard output can be piped."""
    say(one_line(line))


def show(text: str, files: Sequence[pathlib.Path] = ()) -> None:
    """Prints results on standard output, and below them the files that were written.

    Raises:
      UserError: if standard output cannot be written; a closed pipe is no error.
    """
    lines = [printable(text), *(["", *(one_line(str(file)) for file in files)] if files else [])]
    try:
        print("\n".join(lines), flush=True)
    except ValueError:
        # Standard output is closed: nobody wants to read it.
        return
    except OSError as error:
        # Python flushes standard output at exit and would report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Readers such as `head` close the pipe early.
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"standard output: cannot be written ({error}); results are kept, give it again") from None
