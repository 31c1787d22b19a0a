"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 by name: their original files, downloaded once and verified.

They are put into the order of tensorflow-datasets, which is that of the published MNIST scores (`mnist-cscores.npy`).
The published CIFAR scores are in the order of the original files: ``scores[np.argsort(ids)]`` is in that order.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import socket
import tarfile
import threading
import urllib.parse
import urllib.request
import zlib

import numpy as np
from tqdm import tqdm

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.idx import FILES, read_idx
from jaxgen.errors import UserError, first_line
from jaxgen.types import Dataset

PROBE_SECONDS = 4
# A download ends when nothing has come for so long.
SILENT_SECONDS = 20
CHUNK_BYTES = 1 << 16
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A published set of images.

    Attributes:
      folder: the address of its files.
      files: the SHA-256 of each by its name.
      class_names: in the order of the labels.
      record: of CIFAR's binary archives, bytes before the pixels of a record and which of them is the label; None: IDX.
    """

    folder: str
    files: dict[str, str]
    class_names: tuple[str, ...]
    record: tuple[int, int] | None = None


# Addresses, SHA-256 and names of classes as tensorflow-datasets has them.
IMAGE_SETS = {
    "mnist": ImageSet(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        tuple(map(str, range(10))),
    ),
    "fashion_mnist": ImageSet(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
    "cifar10": ImageSet(
        "https://www.cs.toronto.edu/~kriz",
        {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
        tuple(map(str, range(10))),
        record=(1, 0),
    ),
    "cifar100": ImageSet(
        "https://www.cs.toronto.edu/~kriz",
        {"cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"},
        tuple(map(str, range(100))),
        record=(2, 1),
    ),
}


def load_image_set(spec: DataSpec, *, fetch: bool = True) -> Dataset:
    """Reads the training and the test examples of a set of `IMAGE_SETS`, in the order of tensorflow-datasets.

    Args:
      spec: its name in `dataset`, and where its files are kept.
      fetch: whether they may be downloaded.
    """
    if spec.image_size:
        raise UserError(f"--image_size={spec.image_size}: {spec.dataset} has one size; leave it out")
    published = IMAGE_SETS[spec.dataset]
    paths = original_files(spec, fetch)
    if published.record:
        [archive] = paths.values()
        arrays = read_cifar(archive, *published.record)
    else:
        arrays = {part: read_idx(paths[f"{name}.gz"], 3 if "images" in part else 1) for part, name in FILES.items()}
    names = np.asarray(published.class_names)
    return make_dataset(spec.dataset, source=f"--dataset={spec.dataset}", class_names=names, **in_tfds_order(arrays))


def original_files(spec: DataSpec, fetch: bool) -> dict[str, pathlib.Path]:
    """The files of a set by name, in its folder or fetched into it, with their SHA-256 verified."""
    published = IMAGE_SETS[spec.dataset]
    folder = set_folder(spec)
    paths = {name: folder / name for name in published.files}
    missing = [name for name, path in paths.items() if not is_intact(path, published.files[name])]
    if missing:
        refuse_unasked(spec, fetch)
        probe_network(f"{published.folder}/{missing[0]}", spec, by_hand(missing, folder))
    for name in missing:
        download(spec, name, folder)
    return paths


def set_folder(spec: DataSpec) -> pathlib.Path:
    """Where the files of a set are kept: its own folder in ``--data_dir``, or else in the user's cache folder."""
    if spec.data_dir:
        root = pathlib.Path(os.path.expanduser(spec.data_dir))
    else:
        import pooch

        root = pooch.os_cache("jaxgen")
    return root / spec.dataset


def is_intact(path: pathlib.Path, checksum: str) -> bool:
    """Whether a file is there; raises UserError if it is damaged or cannot be read."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give another --data_dir") from None
    if found != checksum:
        raise UserError(f"{path}: is damaged (its SHA-256 is not the registered one); delete it and try again")
    return True


def by_hand(names: list[str], folder: pathlib.Path) -> str:
    """What to do without a network."""
    return f"put {', '.join(names)} into {folder}, give the --data_dir that holds {folder.name}/"


def download(spec: DataSpec, name: str, folder: pathlib.Path) -> None:
    """Fetches a file into a folder, where it appears when it is complete and verified; raises UserError of one line."""
    published = IMAGE_SETS[spec.dataset]
    url = f"{published.folder}/{name}"
    try:
        import pooch

        pooch.get_logger().setLevel("ERROR")
        # A bar without a total would have no truth value, by which pooch asks for it; pooch sets the true one.
        with tqdm(desc=name, total=1, unit="B", unit_scale=True, leave=False, disable=None) as bar:
            downloader = pooch.HTTPDownloader(bar, CHUNK_BYTES, timeout=(PROBE_SECONDS, SILENT_SECONDS))
            pooch.retrieve(url, f"sha256:{published.files[name]}", name, folder, downloader=downloader)
    except Exception as error:  # noqa: BLE001 - whatever the network or the disk does, its user gets one line
        raise UserError(f"--dataset={spec.dataset}: {download_failure(error, url, folder)}") from None
    # pooch's temporary files are their owner's alone: others may read it where they may read the folder.
    with contextlib.suppress(OSError):
        (folder / name).chmod(folder.stat().st_mode & 0o666)


def download_failure(error: Exception, url: str, folder: pathlib.Path) -> str:
    """What went wrong with a download, and the remedy."""
    # pooch adds a sentence of its own behind a bar.
    said, name = first_line(error).partition(" | ")[0], url.rpartition("/")[2]
    if getattr(error, "response", None) is not None:
        what = f"{url} is not to be had ({error.response.status_code} {error.response.reason})"
    elif type(error) is ValueError:
        what = f"{url} sent another file than the registered one ({said})"
    elif isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno):
        return f"{name} cannot be kept in {folder} ({said}); give a --data_dir that can be written to and has room"
    else:
        what = f"the download of {url} failed ({said})"
    return f"{what}; try again, or {by_hand([name], folder)}, or name files of your own (idx:, npz:)"


def refuse_unasked(spec: DataSpec, fetch: bool) -> None:
    """Raises UserError for a data set that would have to be fetched, unless `fetch`."""
    if not fetch:
        raise UserError(
            f"--dataset={spec.dataset}: is not on this disk where it was, and is fetched only if asked for; give the "
            "flag, or --data_dir"
        )


def probe_network(url: str, spec: DataSpec, remedy: str) -> None:
    """Raises UserError within seconds if there is no network; who downloads would wait or retry for longer.

    Args:
      url: what is to be fetched.
      spec: the data set.
      remedy: what may be done besides going online or naming other files.
    """
    host = urllib.parse.urlsplit(url).hostname
    if failure := connection_failure(*address(url)):
        raise UserError(
            f"--dataset={spec.dataset}: is not in the download cache, and {host} does not answer ({failure}); go "
            f"online once, {remedy}, or name files of your own (idx:, npz:)"
        )


def address(url: str) -> tuple[str, int]:
    """Host and port to connect to for a URL: its own, or those of the proxy that the environment names."""
    parts = urllib.parse.urlsplit(url)
    proxies = {} if urllib.request.proxy_bypass(parts.hostname) else urllib.request.getproxies()
    proxy = proxies.get(parts.scheme, proxies.get("all"))
    try:
        if proxy:
            parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 1080)
    except ValueError as error:
        raise UserError(f"the proxy that the environment names has no valid address ({error}); correct it") from None


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
