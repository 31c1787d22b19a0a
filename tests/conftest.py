"""Strict JAX on two CPU devices for every test, and a small data set to train on."""

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
import numpy as np
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.types import Dataset

jax.config.update("jax_numpy_rank_promotion", "raise")
# Two, also where there is one core: what JAX has been started with is taken as it is.
jax.config.update("jax_num_cpu_devices", 2)
jax.devices()


# Files that take longest go first: workers that are given a file at a time then end at about the same time.
LONGEST = ("cli", "ensemble", "faults", "long_tail", "lnr_cli", "robustness", "tracking", "randomization", "laws")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def blobs(count: int = 60, classes: int = 3, side: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images, one bright pixel a class: easy, but not free of errors."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    images = rng.integers(0, 160, (count, side * side))
    images[np.arange(count), labels] += 90
    return images.astype(np.uint8).reshape(count, side, side), labels


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    images, labels = blobs()
    tests, test_labels = blobs(30, seed=1)
    return make_dataset(
        "blobs", images, labels, source="blobs", test_images=tests, test_labels=test_labels, class_names=["a", "b", "c"]
    )
