"""Small data sets to train on, and files of them."""

import numpy as np

from jaxgen.data.checks import make_dataset


def blobs(count: int = 60, classes: int = 3, side: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images, one bright pixel a class: easy, but not free of errors."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    images = rng.integers(0, 160, (count, side * side))
    images[np.arange(count), labels] += 90
    return images.astype(np.uint8).reshape(count, side, side), labels


def make_data(folder, **extra):
    images, labels = blobs(60)
    tests, test_labels = blobs(30, seed=1)
    arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels, **extra}
    np.savez(folder / "mine.npz", **arrays)
    return folder


def make_images(classes=3, channels=1, side=6, count=60, names=None):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side + 1, channels), np.uint8)
    return make_dataset("set", images, np.arange(count) % classes, source="set", class_names=names)


HOSTILE = ["<script>hacked = 1</script>", '</script><img src=x onerror="hacked=2">', "{{ 7 * 7 }}&amp;"]


def make_dataset_with_tests(count=60, names=HOSTILE, num_tests=20):
    rng = np.random.default_rng(1)
    images, tests = (rng.integers(0, 256, (n, 6, 7, 1), np.uint8) for n in (count, num_tests))
    return make_dataset(
        "set",
        images,
        np.arange(count) % 3,
        source="set",
        test_images=tests,
        test_labels=np.arange(num_tests) % 3,
        class_names=np.array(names),
    )
