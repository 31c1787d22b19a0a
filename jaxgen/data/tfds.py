"""Data sets of tensorflow-datasets by name, read from array_record folders, which only TensorFlow can prepare.

Its MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 are read from their original files instead (`image_sets`).
"""

import importlib.util
from typing import Any

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.image_sets import probe_network, refuse_unasked
from jaxgen.data.pictures import resize
from jaxgen.errors import UserError, first_line
from jaxgen.types import Dataset


def load_tfds(spec: DataSpec, *, fetch: bool = True) -> Dataset:
    """Reads the training split and the test (or else validation) split of a data set.

    Args:
      spec: its name in `dataset`, and where it is kept.
      fetch: whether it may be downloaded.
    """
    return read_prepared(find_builder(spec), spec, fetch)


def find_builder(spec: DataSpec) -> Any:
    """The builder of the data set that a spec names; raises UserError where there is none."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(f"--dataset={spec.dataset}: tensorflow-datasets cannot be imported ({error})") from None
    try:
        return tfds.builder(spec.dataset, data_dir=spec.data_dir or None)
    except tfds.core.registered.DatasetNotFoundError:
        raise UserError(
            f"--dataset={spec.dataset}: there is no file or folder of this name here, nor a data set of "
            "tensorflow-datasets; give csv:FILE, parquet:FILE, npz:FILE, images:DIR, idx:DIR or hf:NAME"
        ) from None
    except Exception as error:  # noqa: BLE001 - a builder may fail in any way; its user gets one line
        raise UserError(f"--dataset={spec.dataset}: tensorflow-datasets refuses it ({first_line(error)})") from None


def label_names(builder: Any) -> np.ndarray | None:
    """Names of the classes; None if the data set has none."""
    feature = builder.info.features[builder.info.supervised_keys[1]]
    return np.asarray(feature.names) if getattr(feature, "names", None) else None


def read_prepared(builder: Any, spec: DataSpec, fetch: bool) -> Dataset:
    """Reads a prepared array_record folder; prepares it first if TensorFlow is installed."""
    try:
        train = builder.as_data_source(split="train")
    except Exception as error:  # noqa: BLE001 - not prepared shows in many ways
        refuse_unasked(spec, fetch)
        if importlib.util.find_spec("tensorflow") is None:
            raise UserError(
                f"--dataset={spec.dataset}: is not prepared as array_record in {builder.data_dir}; install TensorFlow "
                "(pip install 'jaxgen[tf]') to prepare it here, or give the --data_dir of a prepared copy"
            ) from None
        train = prepare(builder, spec, error)
    splits = [name for name in ("test", "validation") if name in builder.info.splits]
    try:
        image_key, label_key = builder.info.supervised_keys
        names = label_names(builder)
        arrays = split_arrays(train, image_key, label_key, spec, "")
        if splits:
            arrays |= split_arrays(builder.as_data_source(split=splits[0]), image_key, label_key, spec, "test_")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"--dataset={spec.dataset}: is no set of labelled images ({first_line(error)})") from None
    return make_dataset(builder.name, source=f"--dataset={spec.dataset}", class_names=names, **arrays)


def prepare(builder: Any, spec: DataSpec, error: Exception) -> Any:
    """Downloads and prepares a data set; raises UserError, with the remedy, where that fails."""
    import tensorflow_datasets as tfds

    try:
        if builder.url_infos:
            probe_network(next(iter(builder.url_infos)), spec, "give the --data_dir that holds it")
        builder = tfds.builder(spec.dataset, data_dir=spec.data_dir or None, file_format="array_record")
        builder.download_and_prepare()
        return builder.as_data_source(split="train")
    except UserError:
        raise
    except Exception as failure:  # noqa: BLE001
        raise UserError(f"--dataset={spec.dataset}: cannot be prepared ({first_line(failure)})") from error


def split_arrays(source: Any, image_key: str, label_key: str, spec: DataSpec, prefix: str) -> dict[str, np.ndarray]:
    """The images and labels of a split, in its own order; raises UserError for images of several sizes."""
    images, labels = [], []
    for example in source:
        image = np.asarray(example[image_key])
        images.append(resize(image, spec.image_size) if spec.image_size else image)
        labels.append(int(example[label_key]))
    if len({image.shape for image in images}) > 1:
        raise UserError(f"--dataset={spec.dataset}: its images differ in size; give --image_size to resize all")
    return {f"{prefix}images": np.stack(images), f"{prefix}labels": np.asarray(labels)}
