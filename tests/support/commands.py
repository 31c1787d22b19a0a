"""Commands as a user types them, each in a process of its own.

Starting Python and JAX takes seconds a command. So a server that has them loaded, but has not started JAX's devices,
forks: a fork knows nothing of the test that typed.
"""

import importlib
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "jaxgen.experiments.cscore.run",
        "jaxgen.experiments.cscore.report",
        "jaxgen.experiments.randomization.report",
        "jaxgen.experiments.robustness.report",
        "jaxgen.experiments.oversampling.report",
        "jaxgen.experiments.mislabelled.report",
        "sklearn.datasets",
    ]
)


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(folder, said, entry, arguments, log_compiles):
    """The process itself."""
    os.chdir(folder)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}/{name}", os.O_WRONLY | os.O_CREAT), stream)
    import jax

    jax.config.update("jax_log_compiles", log_compiles)
    sys.exit(importlib.import_module(f"jaxgen.{entry}").main(arguments))


class Command:
    """A command that has been started."""

    def __init__(self, folder, *arguments, entry="cscore", log_compiles=False):
        self.said = tempfile.TemporaryDirectory()
        self.process = SERVER.Process(target=run, args=(str(folder), self.said.name, entry, arguments, log_compiles))
        self.process.start()

    def running(self):
        return self.process.is_alive()

    def signal(self, number):
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    def result(self, timeout=120):
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"a command took more than {timeout} s")
        out, err = (pathlib.Path(self.said.name, name).read_text(encoding="utf-8") for name in ("out", "err"))
        self.said.cleanup()
        return Result(self.process.exitcode, out, err)


def type_in(folder, *arguments, timeout=120, **options):
    """Types ``python -m jaxgen.cscore ARGUMENTS``, or another entry, in a folder, and waits for its end."""
    return Command(folder, *arguments, **options).result(timeout)


def command(folder, *typed, entry="cscore", **environment):
    return subprocess.Popen(
        [sys.executable, "-m", f"jaxgen.{entry}", *typed],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1", **environment},
    )
