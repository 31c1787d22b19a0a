"""Reads a folder of corrupted test images and checks that it fits the dataset."""

import hashlib

import numpy as np

from jaxgen.config import CorruptionSpec
from jaxgen.config.fields import format_value
from jaxgen.data.corrupted_folders import CorruptedFolder, LabelledImages, read_folder
from jaxgen.errors import UserError
from jaxgen.types import Dataset


def read_matching_folder(dataset: Dataset, spec: CorruptionSpec) -> CorruptedFolder:
    """Reads the folder of corrupted test images; of each version it keeps as many images as there are test examples.

    Raises:
      UserError: if shapes or labels do not match the test set, or the folder cannot be read.
    """
    flag = f"--corrupted_dir={spec.corrupted_dir}"
    try:
        folder = read_folder(spec.corrupted_dir, spec.corruptions)
    except UserError as error:
        raise UserError(f"--corrupted_dir: {error}") from None
    if spec.cscores:
        raise UserError(f"{flag}: has no training images, which --cscores asks for; leave one of the two out")
    selected = {version: data for version, data in folder.test.items() if version[1] in spec.severities}
    if not selected:
        raise UserError(f"{flag}: has none of --severities={format_value(spec.severities)}; MNIST-C has 1 alone")
    count = len(dataset.test_labels)
    for (name, severity), data in selected.items():
        refuse_other_data(dataset, data, flag, f"{name} at severity {severity}")
    tests = {version: LabelledImages(*(array[:count] for array in data)) for version, data in selected.items()}
    return folder._replace(test=tests)


def refuse_other_data(dataset: Dataset, data: LabelledImages, flag: str, version: str) -> None:
    """Raises `UserError` if images have another shape, other labels, or are fewer than the test set."""
    shape, tests = dataset.images.shape[1:], dataset.test_labels
    if data.images.shape[1:] != shape:
        raise UserError(
            f"{flag}: {version} has images of {'x'.join(map(str, data.images.shape[1:]))}, and --dataset images of "
            f"{'x'.join(map(str, shape))}; give the data that were corrupted"
        )
    if len(data.labels) < len(tests):
        raise UserError(
            f"{flag}: {version} has {len(data.labels):,} images, and the test set {len(tests):,}; give "
            f"--num_test_examples={len(data.labels)}"
        )
    if len(differ := np.flatnonzero(data.labels[: len(tests)] != tests)):
        first = int(differ[0])
        raise UserError(
            f"{flag}: {version} has label {data.labels[first]} at place {first}, and the test set {tests[first]}; the "
            "same test set in the same order is needed: --seed, --test_share and --num_test_examples as when it was "
            "written, or, as tensorflow-datasets has another order than the published one, the original files by "
            "--dataset=npz:FILE"
        )


def folder_digest(folder: CorruptedFolder) -> str:
    """Digest of all images and labels of a folder, independent of its path."""
    digest = hashlib.sha256()
    for (name, severity), data in folder.test.items():
        digest.update(f"{name} {severity} {data.images.shape}".encode())
        for array in (data.images, data.labels.astype(np.int64)):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
