"""Specs as absl flags: defining, parsing and writing them, help pages, and the frame that every command runs in.

Each call works on a `FlagValues` of its own, so that commands can be imported, tested and run twice in a process;
nothing is registered in `absl.flags.FLAGS`.
"""

import atexit
import contextlib
import dataclasses
import io
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from absl import flags as absl_flags

import jaxgen
from jaxgen.config.fields import complaint, flag_fields, flag_values, format_value, shorten, spec_from_values
from jaxgen.config.flag_files import with_flagfiles
from jaxgen.config.parsing import read_text
from jaxgen.errors import Interrupted, UserError

# Longer than any flag's name.
LONGEST_FLAG = 100


class FieldParser(absl_flags.ArgumentParser):
    """Parses the text of a field and checks its value against the field's rule."""

    def __init__(self, field: dataclasses.Field):
        self.field = field

    def parse(self, argument: Any) -> Any:
        """The field's value; raises ValueError for one that its rule refuses."""
        value = read_text(self.field, argument) if isinstance(argument, str) else argument
        if problem := complaint(self.field, value):
            raise ValueError(problem)
        return value


def define(spec_class: type) -> absl_flags.FlagValues:
    """The flags of a spec class, in a fresh `FlagValues`."""
    values = absl_flags.FlagValues()
    # Of an instance: a command may have other defaults than its topics.
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
    """The spec that a command line asks for.

    Args:
      spec_class: of a command, or a topic.
      argv: the command line without the program's name. All flags in it, those of its flag files included, count as
        given.

    Raises:
      UserError: for unknown flags, values that break a rule, stray words and unreadable flag files.
    """
    values = define(spec_class)
    # Some commands take words too, wherever they stand: each is short for a flag.
    words = getattr(spec_class, "WORDS", ())
    values.set_gnu_getopt(bool(words))
    argv = with_flagfiles(argv)
    refuse_impossible(argv)
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
    given = [name for name in values if values[name].present]
    return spec_from_values(spec_class, {name: values[name].value for name in values}, given)


def refuse_impossible(argv: Sequence[str]) -> None:
    """Refuses words that cannot be flags, before absl reads them.

    Raises:
      UserError: naming the word, and what to do about it.
    """
    for word in argv:
        name = word.partition("=")[0]
        # absl looks for a flag of a similar name, and recurses as deep as the name is long.
        if word.startswith("-") and len(name) > LONGEST_FLAG:
            raise UserError(f"{shorten(word)!r}: not a flag; --help lists the flags")
        # Flag files that were written when it was one have all flags, those too that the preset decided.
        if name in ("--keep", "-keep"):
            raise UserError(
                "--keep: no flag any more, for --preset leaves every flag that is given as it is; leave this line "
                "out, and with a preset the lines of flags that it is to set"
            )


def to_flagfile(spec: Any, header: str, set_by_preset: Mapping[str, str] | None = None) -> str:
    """All flags of a spec as the text of an absl flag file.

    Args:
      spec: of a command.
      header: lines for the head of the file, written as comments.
      set_by_preset: flags that a preset sets, with their values as text. They are comments in the file: whoever reads
        it does not give them, and the preset sets them again.
    """
    set_by_preset = set_by_preset or {}
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    values = flag_values(spec)
    for name, value in values.items():
        if name in set_by_preset:
            lines.append(f"# --{name}={set_by_preset[name]}  (set by --preset={values['preset']})")
        else:
            lines.append(f"--{name}={format_value(value)}")
    return "\n".join(lines) + "\n"


def usage(program: str, spec_class: type) -> str:
    """The help page: what the program does, then its flags by topic, with their defaults."""
    words = "".join(f"{word.upper()} " for word in getattr(spec_class, "WORDS", ()))
    page = [
        f"python -m {program} {words}[--flag=value ...] [--flagfile=FILE]",
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
    page += ["  --help, --version", ""]
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
    """Runs a command.

    Args:
      program: its module, for messages.
      spec_class: of its flags.
      job: called with the spec.
      argv: the command line without the program's name; None: the process's own.

    Returns:
      The exit code: 0, or 2 after an error, which is one line on standard error.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    mend_streams()
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
        message = "stopped; models that were finished are kept, and the same command goes on from there"
        print(f"{program}: {message}", file=sys.stderr)
        return leave(argv)
    return 0


def mend_streams() -> None:
    """Sees to it that no output ends a job: what a stream cannot encode is escaped, and one that is closed is empty."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def leave(argv: Sequence[str]) -> int:
    """Ends this process after an interrupt without waiting for its threads, one of which may compile for minutes.

    Only if `argv` is the command line of the process itself; else, as in tests, the exit code is returned.
    """
    if sys.argv[1:] == list(argv):
        # Exit handlers stop a cluster that was started here. Public ways to run them wait for the threads first.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(Interrupted.exit_code)
    return Interrupted.exit_code
