"""Specs as absl flags: definition, reading, writing, and the frame every entry runs in.

Each call works on a `FlagValues` of its own, so that entries can be imported, run twice in a process and tested;
nothing is registered in `absl.flags.FLAGS`.
"""

import contextlib
import dataclasses
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin

from absl import flags as absl_flags

import jaxgen
from jaxgen import spec
from jaxgen.errors import UserError


class FieldParser(absl_flags.ArgumentParser):
    """Reads the text of one spec field and holds it against the field's rule."""

    def __init__(self, field: dataclasses.Field):
        self.field = field

    def parse(self, argument: Any) -> Any:
        value = self._read(argument) if isinstance(argument, str) else argument
        try:
            spec.check(self.field, value)
        except UserError as error:
            raise ValueError(str(error).split(": ", 1)[1]) from None
        return value

    def _read(self, text: str) -> Any:
        read = self.field.metadata.get("parse") or {int: int, float: float}.get(self.field.type, str)
        try:
            return read(text)
        except ValueError as error:
            if read in (int, float):
                raise ValueError(f"give a {spec.describe_type(read)}") from None
            raise error


def define(spec_class: type) -> absl_flags.FlagValues:
    """The flags of a spec class, in a fresh `FlagValues`."""
    values = absl_flags.FlagValues()
    for _, field in spec.leaves(spec_class):
        flag = absl_flags.Flag(
            FieldParser(field), absl_flags.ArgumentSerializer(), field.name, field.default, field.metadata["help"]
        )
        values[field.name] = flag
    return values


def parse(spec_class: type, argv: Sequence[str]) -> Any:
    """The spec that command line `argv` (without the program's name) asks for.

    Raises:
      UserError: for unknown flags, refused values, stray words and unreadable flag files.
    """
    values = define(spec_class)
    try:
        rest = values(["jaxgen", *argv])[1:]
    except absl_flags.UnrecognizedFlagError as error:
        raise UserError(f"{str(error).rstrip(' ?')}; --help lists the flags") from None
    except absl_flags.CantOpenFlagFileError as error:
        raise UserError(f"--flagfile: {str(error).split('] ')[-1]}") from None
    except absl_flags.Error as error:
        raise UserError(" ".join(str(error).split()).removeprefix("flag ")) from None
    if rest:
        word = rest[0] if len(rest[0]) <= 60 else f"{rest[0][:60]}..."
        raise UserError(f"{word!r}: not a flag; flags look like --num_runs=20, in flag files too")
    return spec.from_values(spec_class, {name: values[name].value for name in values})


def to_flagfile(chosen: spec.Spec, header: str) -> str:
    """All flags of a spec as the text of an absl flag file, under commented header lines."""
    comments = [f"# {line}".rstrip() for line in header.splitlines()]
    lines = [f"--{name}={spec.format_value(value)}" for name, value in spec.values(chosen).items()]
    return "\n".join([*comments, *lines]) + "\n"


def usage(program: str, spec_class: type) -> str:
    """The help page: what the program does, then its flags by topic with defaults."""
    page = [f"python -m {program} [--flag=value ...] [--flagfile=FILE]", "", *textwrap.wrap(spec_class.__doc__, 100)]
    topic = None
    for owner, field in spec.leaves(spec_class):
        if owner is not topic:
            topic = owner
            page += ["", "Run" if owner is spec_class else owner.__doc__]
        choices = f" (one of {', '.join(get_args(field.type))})" if get_origin(field.type) is Literal else ""
        page.append(f"  --{field.name}={spec.format_value(field.default)}{choices}")
        page += textwrap.wrap(field.metadata["help"], 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    page += ["", "Everywhere", "  --flagfile=FILE", "      read flags from FILE, one a line; later flags win"]
    page += ["  --help, --version"]
    return "\n".join(page)


def command(program: str, argv: Sequence[str]) -> str:
    """The command line as a user would type it."""
    return shlex.join(["python", "-m", program, *argv])


def run_entry(program: str, spec_class: type, job: Callable[[Any], None], argv: Sequence[str] | None) -> int:
    """Runs `job` on the spec that `argv` asks for, and returns the exit code: 0, or 2 after a one-line refusal."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if {"--help", "-h", "-help", "--helpfull"} & set(argv):
        # The reader may be `head`, which closes the pipe.
        with contextlib.suppress(BrokenPipeError):
            print(usage(program, spec_class), flush=True)
        return 0
    if "--version" in argv:
        print(f"jaxgen {jaxgen.__version__}")
        return 0
    try:
        job(parse(spec_class, argv))
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{program}: stopped; finished models are kept, and the same command goes on from them", file=sys.stderr)
        return 130
    return 0
