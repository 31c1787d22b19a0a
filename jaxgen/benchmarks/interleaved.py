"""Contenders that do the same work in turn, each in a process of its own, so that a drifting machine favours none.

They have processes of their own because they want different devices, and take turns because each wants the whole
machine.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.errors import UserError
from jaxgen.runs.devices import available_cores

# Workers inherit no devices that are already in use.
PROCESSES = multiprocessing.get_context("spawn")
# Seconds that a worker has to end by itself.
PATIENCE = 10
# Resident memory is counted in bytes on macOS, in units of 1,024 bytes elsewhere.
RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024


class Prepared(NamedTuple):
    """A contender that is ready to be timed.

    Attributes:
      run: ``task -> result``, the work of one turn.
      facts: what is reported of the preparation, such as the seconds of compiling.
    """

    run: Callable[[Any], Any]
    facts: Any = None


# From the spec of the benchmark; what it does before it returns is not timed.
Contender = Callable[[Any], Prepared]


class Turn(NamedTuple):
    """One turn of a contender.

    Attributes:
      result: of the work.
      seconds: wall-clock time of the work.
      processor_seconds: of the contender's process, summed over cores.
      peak_bytes: the most memory that its process has held so far.
    """

    result: Any
    seconds: float
    processor_seconds: float = 0.0
    peak_bytes: int = 0


class InterleavedBenchmark:
    """The contenders' processes, each prepared and waiting for its turn.

    Args:
      contenders: by name; they are pickled, so functions of a module or partials of them.
      spec: what each is called with.

    Attributes:
      facts: by name, what the contenders report of their preparation.

    Raises:
      UserError: if a contender refuses the spec.
    """

    def __init__(self, contenders: Mapping[str, Contender], spec: Any):
        self.connections: dict[str, multiprocessing.connection.Connection] = {}
        self.processes: list[multiprocessing.process.BaseProcess] = []
        self.facts: dict[str, Any] = {}
        for name, contender in contenders.items():
            ours, theirs = PROCESSES.Pipe()
            self.processes.append(PROCESSES.Process(target=serve, args=(contender, spec, theirs), daemon=True))
            self.processes[-1].start()
            theirs.close()
            self.connections[name] = ours
            # One after another: a contender that times its widths needs the machine to itself.
            self.facts[name] = self._receive(name)

    def run_turn(self, name: str, task: Any) -> Turn:
        """Gives one contender its turn at a task, anything but None.

        Raises:
          UserError: if its process has died.
        """
        with contextlib.suppress(OSError):
            self.connections[name].send(task)
        return self._receive(name)

    def run_rounds(self, tasks: Iterable[Any]) -> dict[str, list[Turn]]:
        """Task by task, gives every contender its turn; returns the turns by contender, in the order of the tasks.

        Raises:
          UserError: if a process has died.
        """
        turns: dict[str, list[Turn]] = {name: [] for name in self.connections}
        for task in tasks:
            for name in turns:
                turns[name].append(self.run_turn(name, task))
        return turns

    def _receive(self, name: str) -> Any:
        try:
            answer = self.connections[name].recv()
        except (EOFError, OSError):
            raise UserError(f"a worker of the benchmark ({name}) stopped; its message is above") from None
        if isinstance(answer, UserError):
            raise answer
        return answer

    def __enter__(self) -> "InterleavedBenchmark":
        return self

    def __exit__(self, *exception: object) -> None:
        for connection in self.connections.values():
            with contextlib.suppress(OSError):
                connection.send(None)
        for process in self.processes:
            # A killed process leaves shared resources behind, so each may end by itself; after a failure none is
            # waited for.
            if not any(exception):
                process.join(PATIENCE)
            process.terminate()


def run_alone(name: str, contender: Contender, spec: Any, task: Any) -> Turn:
    """One turn in a process started for it alone, whose peak memory is that of the turn."""
    with InterleavedBenchmark({name: contender}, spec) as benchmark:
        return benchmark.run_turn(name, task)


def serve(contender: Contender, spec: Any, connection: multiprocessing.connection.Connection) -> None:
    """The loop of a worker: takes tasks until it gets None, or until a `UserError`, which it sends."""
    try:
        prepared = contender(spec)
        connection.send(prepared.facts)
        while (task := connection.recv()) is not None:
            connection.send(time_turn(prepared, task))
    except UserError as error:
        connection.send(error)


def time_turn(prepared: Prepared, task: Any) -> Turn:
    """Runs and times one turn in this process."""
    began, busy = time.perf_counter(), time.process_time()
    result = prepared.run(task)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RESIDENT_UNIT
    return Turn(result, seconds, processor_seconds, peak)


def describe_ratio(ratios: np.ndarray) -> str:
    """Median (smallest to largest)."""
    return f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"


def describe_machine() -> str:
    """The number of cores, the processor and the version of JAX."""
    name = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return f"{available_cores()} cores {name}, jax {jax.__version__}".replace("  ", " ")
