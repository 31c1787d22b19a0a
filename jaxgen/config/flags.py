"""Specs as absl flags: definition, reading, writing, and the frame every entry runs in.

Each call works on a `FlagValues` of its own, so that entries can be imported, run twice in a process and tested;
nothing is registered in `absl.flags.FLAGS`.
"""

import atexit
import contextlib
import dataclasses
import decimal
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin

from absl import flags as absl_flags

import jaxgen
from jaxgen import config as spec
from jaxgen.config.fields import (
    AUTO,
    MOST_VALUES,
    complaint,
    describe_type,
    flag_fields,
    flag_values,
    format_value,
    shorten,
    spec_from_values,
)
from jaxgen.config.flag_files import with_flagfiles
from jaxgen.errors import Interrupted, UserError

# Longer than any flag's name.
LONGEST_FLAG = 100


def read_text(field: dataclasses.Field, text: str) -> Any:
    """The value that a flag's text stands for; `format_value` writes it.

    Raises:
      ValueError: with what is wrong, in words for the user.
    """
    if field.metadata["sweep"]:
        items = read_numbers(text, field.type) if field.type in (int, float) else read_words(text)
        return items[0] if len(items) == 1 else items
    if field.type == tuple[int, ...] and field.metadata["step"]:
        return read_numbers(text, int, field.metadata["step"]) if text.strip() else ()
    if field.type == tuple[float, ...]:
        return read_numbers(text, float, field.metadata["step"]) if text.strip() else ()
    if field.type in (int, float):
        return read_number(text, field.type)
    if field.type == tuple[str, ...]:
        return read_words(text) if text.strip() else ()
    readers = {bool: read_boolean, tuple[int, ...]: read_integers, int | None: read_width}
    return readers.get(field.type, str)(text)


def read_numbers(text: str, kind: type, step: float | None = None) -> tuple[Any, ...]:
    """Reads ``a,b,c`` or a range ``start:stop:step``, both ends included.

    Args:
      text: what the user wrote.
      kind: int or float.
      step: the step of ``start:stop``; None if the user must say it.

    Raises:
      ValueError: with what is wrong, in words for the user.
    """
    form = "start:stop:step" if step is None else "start:stop[:step]"
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return tuple(kind(part) for part in text.split(","))
        # Decimals hold what was written: 0.1 + 2 * 0.1 is 0.3, and a range ends where it says.
        numbers = [decimal.Decimal(repr(kind(part))) for part in parts]
    except ValueError:
        raise ValueError(f"give a {describe_type(kind)}, a list a,b,c or a range {form}") from None
    if len(numbers) == 2 and step is not None:
        numbers.append(decimal.Decimal(repr(step)))
    if len(numbers) != 3:
        raise ValueError(f"give a range as {form}, such as {'2:10:2' if kind is int else '0.1:0.9:0.2'}")
    return tuple(kind(number) for number in count_up(*numbers))


def count_up(start: decimal.Decimal, stop: decimal.Decimal, step: decimal.Decimal) -> list[decimal.Decimal]:
    """The numbers from `start` in steps of `step` up to `stop`, which is one of them if a step ends there."""
    if not (start.is_finite() and stop.is_finite() and step.is_finite() and step > 0 and stop >= start):
        raise ValueError("the range is empty; give start:stop:step with start <= stop and a step above 0")
    steps = (stop - start) / step
    if steps >= MOST_VALUES:
        raise ValueError(f"these are more than {MOST_VALUES:,} values; give a larger step")
    return [start + i * step for i in range(int(steps) + 1)]


def read_words(text: str) -> tuple[str, ...]:
    """Reads ``a,b,c``."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise ValueError("give a name, or a list a,b,c")
    return words


def read_number(text: str, kind: type) -> Any:
    """Reads one number."""
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"give a {describe_type(kind)}") from None


def read_boolean(text: str) -> bool:
    """Reads ``true`` or ``false``, as absl does."""
    try:
        return absl_flags.BooleanParser().parse(text)
    except ValueError:
        raise ValueError("give true or false") from None


def read_integers(text: str) -> tuple[int, ...]:
    """Reads ``a,b,c``; the empty text is the empty tuple."""
    try:
        return tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError("give whole numbers with commas between, such as 128,64") from None


def read_width(text: str) -> int | None:
    """Reads a number of members, or ``auto``, which is None."""
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"give a whole number or {AUTO}") from None


class FieldParser(absl_flags.ArgumentParser):
    """Reads the text of one spec field and holds it against the field's rule."""

    def __init__(self, field: dataclasses.Field):
        self.field = field

    def parse(self, argument: Any) -> Any:
        value = read_text(self.field, argument) if isinstance(argument, str) else argument
        if said := complaint(self.field, value):
            raise ValueError(said)
        return value


def define(spec_class: type) -> absl_flags.FlagValues:
    """The flags of a spec class, in a fresh `FlagValues`."""
    values = absl_flags.FlagValues()
    # Those of the whole spec: a command may have other defaults than its topics.
    for owner, field in flag_fields(spec_class()):
        values[field.name] = absl_flags.Flag(
            FieldParser(field),
            absl_flags.ArgumentSerializer(),
            field.name,
            getattr(owner, field.name),
            field.metadata["help"],
            boolean=field.type is bool,
        )
    return values


def parse(spec_class: type, argv: Sequence[str]) -> Any:
    """The spec that command line `argv` (without the program's name) asks for.

    Raises:
      UserError: for unknown flags, refused values, stray words and unreadable flag files.
    """
    values = define(spec_class)
    # Some commands take words too, wherever they stand: each is short for a flag.
    words = getattr(spec_class, "WORDS", ())
    values.set_gnu_getopt(bool(words))
    argv = with_flagfiles(argv)
    for word in argv:
        # absl looks for what is like it, and goes as deep as it is long.
        if word.startswith("-") and len(word.partition("=")[0]) > LONGEST_FLAG:
            raise UserError(f"{shorten(word)!r}: not a flag; --help lists the flags")
    try:
        rest = values(["jaxgen", *argv])[1:]
        for name in [name for name in words if not values[name].present][: len(rest)]:
            values[name].parse(rest.pop(0))
    except absl_flags.UnrecognizedFlagError as error:
        raise UserError(f"{str(error).rstrip(' ?')}; --help lists the flags") from None
    except absl_flags.Error as error:
        raise UserError(" ".join(str(error).split()).removeprefix("flag ")) from None
    except ValueError as error:
        # absl's own words for --noflag=value.
        raise UserError(str(error)) from None
    if rest:
        raise UserError(f"{shorten(rest[0])!r}: not a flag; flags look like --num_runs=20, in flag files too")
    return spec_from_values(spec_class, {name: values[name].value for name in values})


def named_in(spec_class: type, argv: Sequence[str]) -> tuple[str, ...]:
    """The flags that stand in a command line itself, and not in its flag files."""
    known = {field.name for _, field in flag_fields(spec_class)}
    return tuple(sorted(known & {word.lstrip("-").partition("=")[0] for word in argv if word.startswith("-")}))


def to_flagfile(chosen: spec.Spec, header: str) -> str:
    """All flags of a spec as the text of an absl flag file, under commented header lines."""
    comments = [f"# {line}".rstrip() for line in header.splitlines()]
    lines = [f"--{name}={format_value(value)}" for name, value in flag_values(chosen).items()]
    return "\n".join([*comments, *lines]) + "\n"


def usage(program: str, spec_class: type) -> str:
    """The help page: what the program does, then its flags by topic with defaults."""
    alone = "".join(f"{word.upper()} " for word in getattr(spec_class, "WORDS", ()))
    page = [
        f"python -m {program} {alone}[--flag=value ...] [--flagfile=FILE]",
        "",
        *textwrap.wrap(spec_class.__doc__, 100),
    ]
    topic = None
    for owner, field in flag_fields(spec_class()):
        if owner is not topic:
            topic = owner
            page += ["", "Run" if type(owner) is spec_class else owner.__doc__]
        choices = f" (one of {', '.join(get_args(field.type))})" if get_origin(field.type) is Literal else ""
        mark = " [list]" if field.metadata["sweep"] else ""
        page.append(f"  --{field.name}={format_value(getattr(owner, field.name))}{choices}{mark}")
        page += textwrap.wrap(field.metadata["help"], 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    page += ["", "Everywhere", "  --flagfile=FILE", "      read flags from FILE, one a line; later flags win"]
    page += [
        "  --help, --version",
        "",
    ]
    if any(field.metadata["sweep"] for _, field in flag_fields(spec_class())):
        page += ["Flags marked [list] also take a,b,c, and numbers start:stop:step with both ends:"]
        page += ["every combination of the lists is trained."]
    if switch := next((field.name for _, field in flag_fields(spec_class()) if field.type is bool), ""):
        page += [f"Switches: --{switch}, --no{switch}, --{switch}=true."]
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
        return leave(argv) if isinstance(error, Interrupted) else error.exit_code
    except KeyboardInterrupt:
        said = "stopped; models that were finished are kept, and the same command goes on from there"
        print(f"{program}: {said}", file=sys.stderr)
        return leave(argv)
    return 0


def leave(argv: Sequence[str]) -> int:
    """Ends a process that was asked to stop, if these are its own arguments: without waiting for its threads, for what
    one of them is compiling can take minutes. Else returns the exit code."""
    if sys.argv[1:] == list(argv):
        # Public ways to run these wait for the threads first. They stop a cluster that was started here.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(Interrupted.exit_code)
    return Interrupted.exit_code
