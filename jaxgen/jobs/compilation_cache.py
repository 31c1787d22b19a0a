"""Programs that are compiled once for several jobs which differ in their data alone."""

import pathlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache import compilation_cache

# JAX keeps what took less time to compile than this, in seconds, from its cache.
LEAST_SECONDS = 0.2


FLAGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@contextmanager
def shared_compilations() -> Iterator[None]:
    """While it is open, a program that has been compiled is found in a folder of its own, by any job.

    Where the user has a cache of compilations already, that one does.
    """
    before = {name: getattr(jax.config, name) for name in FLAGS}
    # Something that nobody needs any more may be compiling yet.
    with tempfile.TemporaryDirectory(prefix="jaxgen-compiled-", ignore_cleanup_errors=True) as folder:
        try:
            share_compilations(folder)
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()


def share_compilations(folder: str | pathlib.Path) -> None:
    """From now on, keeps what is compiled in `folder`, unless the user has a cache of compilations already."""
    if jax.config.jax_compilation_cache_dir:
        return
    for name, value in zip(FLAGS, (str(folder), LEAST_SECONDS), strict=True):
        jax.config.update(name, value)
    # It looks for its folder once only, when the first program is compiled.
    compilation_cache.reset_cache()
