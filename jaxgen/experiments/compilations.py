"""Programs that are compiled once for several jobs which differ in their data alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache import compilation_cache

# JAX keeps what took less time to compile than this, in seconds, from its cache.
LEAST_SECONDS = 0.2


@contextmanager
def shared_compilations() -> Iterator[None]:
    """While it is open, a program that has been compiled is found in a folder of its own, by any job.

    Where the user has a cache of compilations already, that one does.
    """
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    if before[names[0]]:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="jaxgen-compiled-") as folder:
        try:
            for name, value in zip(names, (folder, LEAST_SECONDS), strict=True):
                jax.config.update(name, value)
            # It looks for its folder once only, when the first program is compiled.
            compilation_cache.reset_cache()
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
