"""A training kept in its middle, by Orbax, so that a killed hour-long chunk goes on from there."""

import contextlib
import gc
import logging
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.runs.signals import Stop

# Raised whenever what is kept would be read wrongly.
VERSION = 2
# So much training lost is not worth a checkpoint when the user stops the job.
TRIFLING_SECONDS = 2


class DiskCheckpoint:
    """Keeps the state of one chunk in a folder of its own; each state takes the place of the one before.

    Args:
      folder: where; need not exist.
      minutes: how often, 0 for never.
      stop: whether the user wants to stop.
      clock: in seconds.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        minutes: float,
        stop: Stop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folder, self.minutes, self.stop, self.clock = folder, minutes, stop or Stop(), clock
        self.last = clock()

    def offer(self, state: Callable[[], Any]) -> None:
        """Keeps `state()`, a pair of host arrays and of arrays on devices, if it is time or the last chance.

        Raises:
          KeyboardInterrupt: if the user wants to stop.
        """
        due = TRIFLING_SECONDS if self.stop.asked else 60 * self.minutes
        if self.minutes and self.clock() - self.last >= due:
            self._keep(*state())
        self.stop.heed()

    def _keep(self, host: Any, device: Any) -> None:
        before = self._found()
        number = 1 + max((int(path.name) for path in before), default=0)
        leaves = {f"{i:05d}": leaf for i, leaf in enumerate(jax.tree.leaves(device))}
        # Orbax writes beside and renames: a folder of this name is whole.
        with self._orbax() as orbax:
            orbax.save(
                (self.folder / str(number)).resolve(), {"version": np.asarray(VERSION), "host": host, "device": leaves}
            )
        for path in before:
            shutil.rmtree(path, ignore_errors=True)
        self.last = self.clock()

    def restore(self, like: Any) -> tuple[Any, Any] | None:
        """The pair that was kept last, the second part in the structure and on the devices of `like`; None if none was.

        Raises:
          UserError: if it is damaged, or of another version.
        """
        if not (found := self._found()):
            return None
        path = max(found, key=lambda path: int(path.name))
        try:
            with self._orbax() as orbax, _quiet_asyncio():
                kept = orbax.restore(path.resolve())
            leaves, structure = jax.tree.flatten(like)
            arrays = [kept["device"][f"{i:05d}"] for i in range(len(leaves))]
            fits = int(kept["version"]) == VERSION and len(arrays) == len(kept["device"])
            fits &= all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(arrays, leaves, strict=True))
        except UNREADABLE as error:
            what = " ".join(str(error).split())[:100]
            raise self._unusable(path, f"cannot be read ({what})") from None
        if not fits:
            raise self._unusable(path, "is of another version or of other programs")
        placed = [jax.device_put(_on_host(a), b.sharding) for a, b in zip(arrays, leaves, strict=True)]
        host = jax.tree.map(np.asarray, kept["host"])
        return host, jax.tree.unflatten(structure, placed)

    def remove(self) -> None:
        """Forgets what was kept: the chunk is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self) -> list[pathlib.Path]:
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return [path for path in folders if path.name.isdigit()]

    def _orbax(self) -> Any:
        # Imported where used: it takes a second, and most jobs are over before their first checkpoint.
        import orbax.checkpoint

        return orbax.checkpoint.StandardCheckpointer()

    def _unusable(self, path: pathlib.Path, why: str) -> UserError:
        return UserError(
            f"{path}: the checkpoint {why}; remove {self.folder} to train its runs from their start, or go on with the "
            "version of jaxgen and JAX that wrote it"
        )


@contextlib.contextmanager
def _quiet_asyncio() -> Iterator[None]:
    """Of a damaged checkpoint Orbax's tasks tell in pages what its exception tells in a line."""
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
        gc.collect()
    finally:
        logger.setLevel(level)


def _on_host(array: jax.Array) -> Any:
    """An array off its devices; keys stay keys."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(np.asarray(jax.random.key_data(array)))
    return np.asarray(array)
