"""JAX's persistent compilation cache, shared by jobs and workers whose programs are the same."""

import pathlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache import compilation_cache

# Programs that compile faster than this, in seconds, are not cached.
MIN_COMPILE_SECONDS = 0.2
FLAGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@contextmanager
def shared_compilations() -> Iterator[None]:
    """Caches compiled programs in a temporary folder inside the block.

    A compilation cache that the user has configured is used instead.
    """
    previous = {name: getattr(jax.config, name) for name in FLAGS}
    # A background compilation may still write into the folder.
    with tempfile.TemporaryDirectory(prefix="jaxgen-compiled-", ignore_cleanup_errors=True) as folder:
        try:
            share_compilations(folder)
            yield
        finally:
            for name, value in previous.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()


def share_compilations(folder: str | pathlib.Path) -> None:
    """Caches compiled programs in `folder` from now on, unless the user has configured a compilation cache."""
    if jax.config.jax_compilation_cache_dir:
        return
    for name, value in zip(FLAGS, (str(folder), MIN_COMPILE_SECONDS), strict=True):
        jax.config.update(name, value)
    # JAX reads the folder's name only when it compiles its first program.
    compilation_cache.reset_cache()
