"""Flag files: one flag a line, put into the command line in place of ``--flagfile=FILE``.

absl's own reader reads files that include each other, twice each, for as long as that goes on; here their total size
and their depth are limited.
"""

import os
from collections.abc import Sequence

from jaxgen.errors import UserError

# Bytes of all flag files of a command, and how deep they may include each other.
MOST_OF_FLAGS, DEEPEST = 2**20, 20
# Bytes that each file counts for besides its own, since opening one takes time too.
COST = 1000


def with_flagfiles(argv: Sequence[str]) -> list[str]:
    """The command line with the flags of its flag files in their places.

    Raises:
      UserError: for files that cannot be read, include themselves, or are too long.
    """
    flags, budget = [], Budget()
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*flags, word, *words]
        path = next(words, "") if word in ("--flagfile", "-flagfile") else flagfile_in(word)
        if path == "":
            raise UserError("--flagfile: names no file; give --flagfile=FILE")
        flags += [word] if path is None else lines_of(path, (), budget)
    return flags


def flagfile_in(word: str) -> str | None:
    """The file that ``--flagfile=FILE`` names; None for any other word."""
    name, equals, path = word.partition("=")
    return os.path.expanduser(path.strip()) if equals and name in ("--flagfile", "-flagfile") else None


class Budget:
    """Bytes that may still be read from flag files; a file that is included twice counts twice."""

    def __init__(self):
        self.left = MOST_OF_FLAGS

    def read(self, path: str) -> str:
        """A file's text.

        Raises:
          UserError: if it cannot be read, or the budget is spent.
        """
        try:
            with open(path, "rb") as file:
                content = file.read(self.left + 1)
            text = content.decode()
        except (OSError, ValueError) as error:
            raise UserError(f"--flagfile={path}: {error}; give a file of flags that can be read") from None
        self.left -= len(content) + COST
        if self.left < 0:
            raise UserError(f"--flagfile={path}: with it, flag files have more than {MOST_OF_FLAGS:,} bytes; give less")
        return text


def lines_of(path: str, within: tuple[str, ...], budget: Budget) -> list[str]:
    """The flags in a file and in those that it includes.

    Args:
      path: of the file.
      within: real paths of the files that include it, the outermost first.
      budget: for all files of the command.
    """
    text, place = budget.read(path), os.path.realpath(path)
    if place in within or len(within) == DEEPEST:
        raise UserError(f"--flagfile={path}: is read from within itself, or {DEEPEST} others; take one of them out")
    flags = []
    for line in map(str.strip, text.splitlines()):
        inner = flagfile_in(line)
        if inner:
            flags += lines_of(inner, (*within, place), budget)
        elif line and not line.startswith(("#", "//")):
            flags.append(line)
    return flags
