"""Strict JAX on two CPU devices, compiled with little effort. To be imported before JAX is."""

import os
import tempfile

import jaxlib.version

# Programs compiled once are shared by all tests, in all of pytest's workers, and by the commands that tests type.
if "PYTEST_XDIST_WORKER" not in os.environ:
    CACHE = tempfile.TemporaryDirectory(prefix="jaxgen-test-cache-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# Compiling takes most of the time here, and most of that goes into speed that tests have no use for.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
if jaxlib.version.__version_info__ < (0, 11):
    # Later versions know no such flag, and stop at what they do not know.
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
# Two, also where there is one core: what JAX has been started with is taken as it is.
jax.config.update("jax_num_cpu_devices", 2)
jax.devices()
