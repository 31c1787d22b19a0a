"""Ways of doing the same work, each in a process of its own, taking turns: so a drifting machine favours none.

A way is a generator: it gets ready, yields None, and then answers each request it is sent. Processes of their own,
because ways want different devices; one at a time, because each wants the whole machine.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxgen.errors import UserError
from jaxgen.runs.devices import available_cores

Contender = Callable[[Any], Iterator[Any]]
# Workers inherit no devices that are already in use.
PROCESSES = multiprocessing.get_context("spawn")
# Seconds in which a worker that was told to end does so.
PATIENCE = 10


class InterleavedBenchmark:
    """The ways' processes, ready to be asked.

    Args:
      ways: by name, functions at a module's top level.
      spec: what each is called with.
    """

    def __init__(self, ways: Mapping[str, Contender], spec: Any):
        self.connections: dict[str, multiprocessing.connection.Connection] = {}
        self.processes: list[multiprocessing.process.BaseProcess] = []
        for name, way in ways.items():
            ours, theirs = PROCESSES.Pipe()
            self.processes.append(PROCESSES.Process(target=serve, args=(way, spec, theirs), daemon=True))
            self.processes[-1].start()
            theirs.close()
            self.connections[name] = ours
            # One after another: a worker that times its widths must have the machine to itself.
            self._receive(name)

    def ask(self, name: str, request: Any) -> Any:
        """One way's answer.

        Raises:
          UserError: if its process has died.
        """
        with contextlib.suppress(OSError):
            self.connections[name].send(request)
        return self._receive(name)

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
            # One that is killed at its end leaves what it shares with others behind; after a failure none is awaited.
            if not any(exception):
                process.join(PATIENCE)
            process.terminate()


def serve(way: Contender, spec: Any, connection: multiprocessing.connection.Connection) -> None:
    """A worker: answers until it is sent None, or has a user's mistake to tell."""
    try:
        turn = way(spec)
        connection.send(next(turn))
        while (request := connection.recv()) is not None:
            connection.send(turn.send(request))
    except UserError as error:
        connection.send(error)


def describe_ratio(ratios: np.ndarray) -> str:
    """Median (smallest to largest)."""
    return f"{np.median(ratios):.3g} ({ratios.min():.3g} to {ratios.max():.3g})"


def way_lines(
    titles: Mapping[str, str],
    seconds: Mapping[str, list[float]],
    accuracies: Mapping[str, list[float]],
    figure: Callable[[float], float],
) -> list[str]:
    """A table's rows: of each way its title, a figure, how many times jaxgen's seconds it took, and its accuracy (n).

    Args:
      titles: by way.
      seconds: by way, a model's in each round.
      accuracies: by way, of every model.
      figure: from the median of a way's seconds to what is shown of it.
    """
    lines = []
    for way, title in titles.items():
        ratio = describe_ratio(np.array(seconds[way]) / np.array(seconds["jaxgen"]))
        accuracy = f"{np.mean(accuracies[way]):.4f} ({len(accuracies[way])})"
        lines.append(f"| {title} | {figure(np.median(seconds[way])):.3g} | {ratio} | {accuracy} |")
    return lines


def describe_machine() -> str:
    """The processor and what else a figure depends on."""
    import jax

    name = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return f"{available_cores()} cores {name}, jax {jax.__version__}".replace("  ", " ")
