"""What a user is told on the way, and shown in the end."""

import os
import pathlib
import sys
from collections.abc import Sequence

from jaxgen.errors import UserError, one_line, printable


def log(line: str) -> None:
    """Says what is going on: on standard error, so that results can be piped."""
    print(one_line(line), file=sys.stderr, flush=True)


def show(text: str, files: Sequence[pathlib.Path] = ()) -> None:
    """Prints results, and below them the files that were written.

    Raises:
      UserError: if standard output takes nothing.
    """
    lines = [printable(text), *(["", *(one_line(str(file)) for file in files)] if files else [])]
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        # Python would complain again when it closes what cannot be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # The reader may be `head`.
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"standard output: cannot be written ({error}); results are kept, give it again") from None
