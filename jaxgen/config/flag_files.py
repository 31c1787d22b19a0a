"""Flag files, a flag a line, which may name further ones: read where the command line names them."""

import os
from collections.abc import Sequence

from jaxgen.errors import UserError

# Bytes of all flag files of a command, and how deep they may name each other.
MOST_OF_FLAGS, DEEPEST = 2**20, 20
# What a file counts beside its bytes.
COST = 1000


def with_flagfiles(argv: Sequence[str]) -> list[str]:
    """The command line with the flags of its flag files where these are named.

    absl's own reader takes files that name each other, twice each, for as long as that goes on.

    Raises:
      UserError: for a file that cannot be read, one that is read from within itself, and very long ones.
    """
    found, budget = [], Budget()
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*found, word, *words]
        path = next(words, "") if word in ("--flagfile", "-flagfile") else flagfile_in(word)
        if path == "":
            raise UserError("--flagfile: names no file; give --flagfile=FILE")
        found += [word] if path is None else lines_of(path, (), budget)
    return found


def flagfile_in(word: str) -> str | None:
    """The file that ``--flagfile=FILE`` names; None for all else."""
    name, equals, path = word.partition("=")
    return os.path.expanduser(path.strip()) if equals and name in ("--flagfile", "-flagfile") else None


class Budget:
    """How much is read of flag files in all: a file counts whenever it is read."""

    def __init__(self):
        self.left = MOST_OF_FLAGS

    def read(self, path: str) -> str:
        """A file's text."""
        try:
            with open(path, "rb") as file:
                content = file.read(self.left + 1)
            text = content.decode()
        except (OSError, ValueError) as error:
            raise UserError(f"--flagfile={path}: {error}; give a file of flags that can be read") from None
        # Opening one takes time too.
        self.left -= len(content) + COST
        if self.left < 0:
            raise UserError(f"--flagfile={path}: with it, flag files have more than {MOST_OF_FLAGS:,} bytes; give less")
        return text


def lines_of(path: str, within: tuple[str, ...], budget: Budget) -> list[str]:
    """The flags in a file and in those that it names; `within` are those in which it is named."""
    text, place = budget.read(path), os.path.realpath(path)
    if place in within or len(within) == DEEPEST:
        raise UserError(f"--flagfile={path}: is read from within itself, or {DEEPEST} others; take one of them out")
    found = []
    for line in map(str.strip, text.splitlines()):
        inner = flagfile_in(line)
        if inner:
            found += lines_of(inner, (*within, place), budget)
        elif line and not line.startswith(("#", "//")):
            found.append(line)
    return found
