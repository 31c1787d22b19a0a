"""What jaxgen borrows of its process: environment variables and standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Sets environment variables inside the block, and puts back what was there before."""
    previous = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def say(line: str) -> None:
    """Prints a line on standard error; where that is closed, missing or a broken pipe, the line is lost and no more."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
