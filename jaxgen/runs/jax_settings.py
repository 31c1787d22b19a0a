"""JAX's settings while jaxgen works: results depend on jaxgen's flags, not on how the session was set up."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

# 32 bits and one generator, so that draws and sums are the same in every session; and nothing that raises where
# jaxgen means what it does, such as a model that diverges.
FIXED: dict[str, Any] = {
    "enable_x64": False,
    "threefry_partitionable": True,
    "default_prng_impl": "threefry2x32",
    "numpy_dtype_promotion": "standard",
    "transfer_guard": "allow",
    "debug_nans": False,
    "debug_infs": False,
}


@contextlib.contextmanager
def fixed_settings() -> Iterator[None]:
    """Fixes JAX's settings on this thread inside the block."""
    with contextlib.ExitStack() as stack:
        for name, value in FIXED.items():
            stack.enter_context(getattr(jax, name)(value))
        yield


def fix_settings() -> None:
    """Fixes JAX's settings for the whole process, all threads of it."""
    for name, value in FIXED.items():
        jax.config.update(f"jax_{name}", value)
