"""Strict JAX on two CPU devices for every test, and a small data set to train on."""

import support.jax_settings  # noqa: F401

# isort: split
# JAX, and so whatever imports it, comes after its settings.
import pytest

from jaxgen.data.checks import make_dataset
from jaxgen.types import Dataset
from support.data import blobs

# Files that take longest go first: workers that are given a file at a time then end at about the same time.
LONGEST = (
    "protocol",
    "long_tail",
    "ensemble",
    "cli",
    "reference_jobs",
    "corruptions",
    "models",
    "mislabelled",
    "augment",
)
LONGEST += (
    "robustness",
    "faults",
    "ldam",
    "report",
    "threshold_samples",
    "lnr_cli",
    "tracking",
    "randomization",
    "laws",
)
LONGEST += ("page", "settings", "views", "heldout", "kept")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    images, labels = blobs()
    tests, test_labels = blobs(30, seed=1)
    return make_dataset(
        "blobs", images, labels, source="blobs", test_images=tests, test_labels=test_labels, class_names=["a", "b", "c"]
    )
