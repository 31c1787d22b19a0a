"""Data sets of tensorflow-datasets by name, without TensorFlow where possible.

MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 are downloaded and verified by tensorflow-datasets' download manager,
parsed here, and put into the order of tensorflow-datasets, which is that of the published MNIST scores
(`mnist-cscores.npy`). The published CIFAR scores are in the order of the original files: ``scores[np.argsort(ids)]`` is
in that order. Other sets are read from array_record folders, which only TensorFlow can prepare.
"""

import hashlib
import importlib.util
import pathlib
import socket
import tarfile
import threading
import urllib.parse
import urllib.request
import zlib
from typing import Any

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.idx import FILES, read_idx
from jaxgen.data.pictures import resize
from jaxgen.errors import UserError
from jaxgen.types import Dataset

IDX_SETS = ("mnist", "fashion_mnist")
# Bytes before the pixels of a record, and which of them is the label.
CIFAR_SETS = {"cifar10": (1, 0), "cifar100": (2, 1)}
PROBE_SECONDS = 4


def load_tfds(spec: DataSpec, *, fetch: bool = True) -> Dataset:
    """Reads the training split and the test (or else validation) split of a data set.

    Args:
      spec: its name in `dataset`, and where it is kept.
      fetch: whether it may be downloaded.
    """
    if spec.image_size and spec.dataset in (*IDX_SETS, *CIFAR_SETS):
        raise UserError(f"--image_size={spec.image_size}: {spec.dataset} has one size; leave it out")
    builder = find_builder(spec)
    if spec.dataset in IDX_SETS:
        paths = {pathlib.PurePosixPath(url).name: path for url, path in download(builder, spec, fetch).items()}
        arrays = {part: read_idx(paths[f"{name}.gz"], 3 if "images" in part else 1) for part, name in FILES.items()}
    elif spec.dataset in CIFAR_SETS:
        [archive] = download(builder, spec, fetch).values()
        arrays = read_cifar(archive, *CIFAR_SETS[spec.dataset])
    else:
        return read_prepared(builder, spec, fetch)
    return make_dataset(
        spec.dataset, source=f"--dataset={spec.dataset}", class_names=label_names(builder), **in_tfds_order(arrays)
    )


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
            f"--dataset={spec.dataset}: is not embedded here and no name of tensorflow-datasets; own data: "
            "csv:FILE, idx:DIR, images:DIR or npz:FILE"
        ) from None
    except Exception as error:  # noqa: BLE001 - a builder may fail in any way; its user gets one line
        raise UserError(f"--dataset={spec.dataset}: tensorflow-datasets refuses it ({first_line(error)})") from None


def label_names(builder: Any) -> np.ndarray | None:
    """Names of the classes; None if the data set has none."""
    feature = builder.info.features[builder.info.supervised_keys[1]]
    return np.asarray(feature.names) if getattr(feature, "names", None) else None


def download(builder: Any, spec: DataSpec, fetch: bool) -> dict[str, pathlib.Path]:
    """The source files by URL, from the download cache or fetched, with their SHA-256 verified."""
    import tensorflow_datasets as tfds

    root = pathlib.Path(spec.data_dir or tfds.core.constants.DATA_DIR).expanduser()
    urls = list(builder.url_infos)
    cached = all(is_cached(root, builder, url) for url in urls)
    if not cached:
        refuse_unasked(spec, fetch)
    manager = tfds.download.DownloadManager(
        download_dir=root / "downloads",
        dataset_name=builder.name,
        url_infos=builder.url_infos,
        force_checksums_validation=True,
    )
    if cached:
        tfds.disable_progress_bar()
    else:
        probe_network(urls, spec)
    try:
        paths = dict(zip(urls, map(pathlib.Path, manager.download(urls)), strict=True))
    except Exception as error:  # noqa: BLE001 - whatever the network or the disk does, its user gets one line
        raise UserError(f"--dataset={spec.dataset}: the download failed ({first_line(error)}); try again") from None
    for url, path in paths.items():
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != builder.url_infos[url].checksum:
                raise UserError(f"{path}: is damaged (its SHA-256 is not the registered one); delete it and try again")
    return paths


def refuse_unasked(spec: DataSpec, fetch: bool) -> None:
    """Raises UserError for a data set that would have to be fetched, unless `fetch`."""
    if not fetch:
        raise UserError(
            f"--dataset={spec.dataset}: is not on this disk where it was, and is fetched only if asked for; give the "
            "flag, or --data_dir"
        )


def is_cached(root: pathlib.Path, builder: Any, url: str) -> bool:
    """Whether a download lies in the cache."""
    from tensorflow_datasets.core.download import resource

    name = resource.get_dl_fname(url, builder.url_infos[url].checksum)
    return any(resource.is_locally_cached(root / "downloads" / folder / name) for folder in (builder.name, ""))


def probe_network(urls: list[str], spec: DataSpec) -> None:
    """Raises UserError within seconds if there is no network; tensorflow-datasets would retry for minutes."""
    for url in urls[:1]:
        parts = urllib.parse.urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        target = urllib.parse.urlsplit(proxy) if proxy else parts
        port = target.port or {"http": 80, "https": 443}.get(target.scheme, 443)
        if failure := connection_failure(target.hostname, port):
            raise UserError(
                f"--dataset={spec.dataset}: is not in the download cache, and {parts.hostname} does not "
                f"answer ({failure}); go online once, give the --data_dir that holds it, or name files of your own "
                "(idx:, npz:)"
            )


def connection_failure(host: str, port: int) -> str:
    """Why a connection cannot be made within `PROBE_SECONDS`; empty if it can."""
    failure = [f"no answer within {PROBE_SECONDS} seconds"]

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
            failure[0] = ""
        except OSError as error:
            failure[0] = str(error)

    # In a daemon thread, because name resolution has no timeout.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return failure[0]


def read_cifar(archive: pathlib.Path, label_bytes: int, label_at: int) -> dict[str, np.ndarray]:
    """The binary version of CIFAR (A. Krizhevsky 2009): records of labels and the red, green and blue planes."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            files = {pathlib.PurePosixPath(member.name).name: member for member in tar}
            batches = {name: tar.extractfile(files[name]).read() for name in files if name.endswith(".bin")}
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{archive}: is no archive that can be read ({first_line(error)}); delete it") from None
    arrays = {}
    for prefix, is_test in (("", False), ("test_", True)):
        content = b"".join(batches[name] for name in sorted(batches) if name.startswith("test") == is_test)
        records = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + 3 * 32 * 32)
        arrays[f"{prefix}labels"] = records[:, label_at]
        arrays[f"{prefix}images"] = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return arrays


def in_tfds_order(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays reordered as in tensorflow-datasets; ``ids`` and ``test_ids`` are positions in the original files."""
    order = tfds_order("train", len(arrays["labels"]))
    test_order = tfds_order("test", len(arrays["test_labels"]))
    return {
        "images": arrays["images"][order],
        "labels": arrays["labels"][order],
        "ids": order,
        "test_images": arrays["test_images"][test_order],
        "test_labels": arrays["test_labels"][test_order],
        "test_ids": test_order,
    }


def tfds_order(split: str, count: int) -> np.ndarray:
    """The original index of the example at each position: sorted by the MD5 of ``<split><original index>``."""
    return np.asarray(sorted(range(count), key=lambda i: hashlib.md5(f"{split}{i}".encode()).digest()))


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
            probe_network(list(builder.url_infos), spec)
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


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; its type where there is none."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
