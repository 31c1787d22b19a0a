"""The folder of corrupted test images that members are judged on: whether it is of these data."""

import hashlib

import numpy as np

from jaxgen.config import CorruptionSpec
from jaxgen.config.fields import format_value
from jaxgen.data.corrupted_folders import CorruptedFolder, LabelledImages, read_folder
from jaxgen.errors import UserError
from jaxgen.types import Dataset


def read_matching_folder(dataset: Dataset, spec: CorruptionSpec) -> CorruptedFolder:
    """The folder of corrupted test images, if they are of the data's shape and have the labels of its test set.

    Of each version there are as many images as test examples, the first of the folder.

    Raises:
      UserError: if they are of other data, or if the folder cannot be read.
    """
    what = f"--corrupted_dir={spec.corrupted_dir}"
    try:
        folder = read_folder(spec.corrupted_dir, spec.corruptions)
    except UserError as error:
        raise UserError(f"--corrupted_dir: {error}") from None
    if spec.cscores:
        raise UserError(f"{what}: has no training images, which --cscores asks for; leave one of the two out")
    kept = {at: found for at, found in folder.test.items() if at[1] in spec.severities}
    if not kept:
        raise UserError(f"{what}: has none of --severities={format_value(spec.severities)}; MNIST-C has 1 alone")
    count = len(dataset.test_labels)
    for (name, severity), found in kept.items():
        refuse_other_data(dataset, found, what, f"{name} at severity {severity}")
    return folder._replace(test={at: LabelledImages(*(one[:count] for one in found)) for at, found in kept.items()})


def refuse_other_data(dataset: Dataset, found: LabelledImages, what: str, version: str) -> None:
    """Refuses images of another shape, fewer than the test set has, or labelled otherwise."""
    shape, tests = dataset.images.shape[1:], dataset.test_labels
    if found.images.shape[1:] != shape:
        raise UserError(
            f"{what}: {version} has images of {'x'.join(map(str, found.images.shape[1:]))}, and --dataset images of "
            f"{'x'.join(map(str, shape))}; give the data that were corrupted"
        )
    if len(found.labels) < len(tests):
        raise UserError(
            f"{what}: {version} has {len(found.labels):,} images, and the test set {len(tests):,}; give "
            f"--num_test_examples={len(found.labels)}"
        )
    if len(differ := np.flatnonzero(found.labels[: len(tests)] != tests)):
        first = int(differ[0])
        raise UserError(
            f"{what}: {version} has label {found.labels[first]} at place {first}, and the test set {tests[first]}; the "
            "same test set in the same order is needed: --seed, --test_share and --num_test_examples as when it was "
            "written, or, as tensorflow-datasets has another order than the published one, the original files by "
            "--dataset=npz:FILE"
        )


def folder_digest(folder: CorruptedFolder) -> str:
    """Of all images and labels in it, whatever it is called."""
    digest = hashlib.sha256()
    for (name, severity), found in folder.test.items():
        digest.update(f"{name} {severity} {found.images.shape}".encode())
        for array in (found.images, found.labels.astype(np.int64)):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
