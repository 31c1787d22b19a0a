"""Orbax checkpoints of unfinished chunks, so that a killed job resumes in the middle of a long chunk."""

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

# Increased whenever the format of checkpoints changes.
VERSION = 2
# When the user stops the job, training shorter than this is not worth a checkpoint.
MIN_SECONDS = 2


class DiskCheckpoint:
    """The latest training state of one chunk, in a folder of its own.

    Args:
      folder: need not exist.
      minutes: time between two checkpoints; 0: none are written.
      stop: the user's request to stop, if any.
      clock: returns seconds.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        minutes: float,
        stop: Stop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folder, self.minutes, self.stop, self.clock = folder, minutes, stop or Stop(), clock
        self.last_saved = clock()

    def offer(self, state: Callable[[], Any]) -> None:
        """Saves `state()` if a checkpoint is due or the user stops the job.

        Args:
          state: returns the training state as two trees: arrays on the host, arrays on devices.

        Raises:
          KeyboardInterrupt: if the user requested a stop.
        """
        interval = MIN_SECONDS if self.stop.requested else 60 * self.minutes
        if self.minutes and self.clock() - self.last_saved >= interval:
            self._save(*state())
        self.stop.raise_if_requested()

    def _save(self, host: Any, device: Any) -> None:
        previous = self._saved()
        number = 1 + max((int(path.name) for path in previous), default=0)
        leaves = {f"{i:05d}": leaf for i, leaf in enumerate(jax.tree.leaves(device))}
        # Orbax writes to a temporary folder and renames it, so a folder with a number is complete.
        with self._orbax() as orbax:
            orbax.save(
                (self.folder / str(number)).resolve(), {"version": np.asarray(VERSION), "host": host, "device": leaves}
            )
        for path in previous:
            shutil.rmtree(path, ignore_errors=True)
        self.last_saved = self.clock()

    def restore(self, like: Any) -> tuple[Any, Any] | None:
        """Reads the latest checkpoint.

        Args:
          like: a tree of the arrays on devices, or of their shapes; it gives structure, types and sharding.

        Returns:
          The two trees that were saved, or None if there is no checkpoint.

        Raises:
          UserError: if the checkpoint is damaged, or of another version or program.
        """
        if not (saved := self._saved()):
            return None
        path = max(saved, key=lambda path: int(path.name))
        try:
            with self._orbax() as orbax, _quiet_asyncio():
                checkpoint = orbax.restore(path.resolve())
            leaves, structure = jax.tree.flatten(like)
            arrays = [checkpoint["device"][f"{i:05d}"] for i in range(len(leaves))]
            fits = int(checkpoint["version"]) == VERSION and len(arrays) == len(checkpoint["device"])
            fits &= all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(arrays, leaves, strict=True))
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:100]
            raise self._unusable(path, f"cannot be read ({reason})") from None
        if not fits:
            raise self._unusable(path, "is of another version or of other programs")
        placed = [jax.device_put(_on_host(a), b.sharding) for a, b in zip(arrays, leaves, strict=True)]
        host = jax.tree.map(np.asarray, checkpoint["host"])
        return host, jax.tree.unflatten(structure, placed)

    def remove(self) -> None:
        """Removes the checkpoint; call once the chunk is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _saved(self) -> list[pathlib.Path]:
        """Folders of complete checkpoints."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return [path for path in folders if path.name.isdigit()]

    def _orbax(self) -> Any:
        # Imported here: it takes a second, and most jobs finish before their first checkpoint.
        import orbax.checkpoint

        return orbax.checkpoint.StandardCheckpointer()

    def _unusable(self, path: pathlib.Path, reason: str) -> UserError:
        return UserError(
            f"{path}: the checkpoint {reason}; remove {self.folder} to train its runs from their start, or go on with "
            "the version of jaxgen and JAX that wrote it"
        )


@contextlib.contextmanager
def _quiet_asyncio() -> Iterator[None]:
    """Silences asyncio's log: for a damaged checkpoint, Orbax's tasks log pages besides raising the exception."""
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
        gc.collect()
    finally:
        logger.setLevel(level)


def _on_host(array: jax.Array) -> Any:
    """Copies an array to the host; a typed key array stays one."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(np.asarray(jax.random.key_data(array)))
    return np.asarray(array)
