"""MNIST, Fashion-MNIST and CIFAR by name: order, archives, checksums, downloads from a server here, and errors."""

import dataclasses
import errno
import functools
import gzip
import hashlib
import http.server
import io
import pathlib
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np
import pytest

from jaxgen.config import DataSpec
from jaxgen.data import image_sets as module
from jaxgen.data import load_dataset
from jaxgen.data.checks import make_dataset
from jaxgen.data.idx import FILES
from jaxgen.data.parts import first_test_examples
from jaxgen.errors import UserError
from support.forging import MakesFolder

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
needs_files = pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the original MNIST files are not at hand")
FIRST = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def offline(monkeypatch):
    """No host answers; counts who asked."""
    asked = []

    def refuse(address, *arguments, **options):
        asked.append(address)
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return asked


@functools.cache
def small_idx_files():
    """Four small files of MNIST's layout by name, and their arrays."""
    rng = np.random.default_rng(0)
    sizes = {"images": (40, 5, 5), "labels": (40,), "test_images": (20, 5, 5), "test_labels": (20,)}
    arrays = {
        part: rng.integers(0, 256, size, np.uint8) if "images" in part else np.arange(size[0], dtype=np.uint8) % 10
        for part, size in sizes.items()
    }
    files = {}
    for part, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        files[f"{FILES[part]}.gz"] = gzip.compress(header + array.tobytes(), mtime=0)
    return files, arrays


def register(monkeypatch, name, files, folder=None):
    """Makes `files` those of a set, to be had from `folder`."""
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    known = module.IMAGE_SETS[name]
    changed = dataclasses.replace(known, files=hashes, folder=folder or known.folder)
    monkeypatch.setitem(module.IMAGE_SETS, name, changed)


def put(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def small_mnist(monkeypatch):
    """The small files in place of MNIST's, and their arrays."""
    files, arrays = small_idx_files()
    register(monkeypatch, "mnist", files)
    return files, arrays


class Server:
    """A web server on this machine that has `files`, answers `status`, and notes what it was asked for."""

    def __init__(self, files):
        self.files, self.status, self.asked, self.missing_bytes, self.pause = files, 200, [], 0, 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                time.sleep(server.pause)
                content = server.files.get(self.path.rpartition("/")[2], b"")
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(content) + server.missing_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    """A server of the small files, which are MNIST's."""
    files, _ = small_idx_files()
    found = Server(dict(files))
    register(monkeypatch, "mnist", files, f"{found.address}/mnist")
    yield found
    found.http.shutdown()
    found.http.server_close()


def mnist(folder, **flags):
    return load_dataset(DataSpec(dataset="mnist", data_dir=str(folder), **flags))


def refusal(folder):
    """What is said of MNIST that cannot be had: one line, with the flag and the remedy."""
    with pytest.raises(UserError) as caught:
        mnist(folder)
    message = str(caught.value)
    assert message.startswith("--dataset=mnist: ")
    assert "\n" not in message
    assert "--data_dir" in message
    return message


def check_small_mnist(dataset):
    """It is the small set, in the order of tensorflow-datasets."""
    _, arrays = small_idx_files()
    for prefix in ("", "test_"):
        ids = getattr(dataset, f"{prefix}ids")
        np.testing.assert_array_equal(ids, module.tfds_order(prefix.rstrip("_") or "train", len(ids)))
        np.testing.assert_array_equal(getattr(dataset, f"{prefix}images")[..., 0], arrays[f"{prefix}images"][ids])
        np.testing.assert_array_equal(getattr(dataset, f"{prefix}labels"), arrays[f"{prefix}labels"][ids])
    assert dataset.class_names == tuple("0123456789")


# Order.


def test_order_of_the_first_mnist_examples():
    """Published: the first five of tensorflow-datasets' MNIST are these of the original."""
    np.testing.assert_array_equal(module.tfds_order("train", 60_000)[:5], [16399, 1680, 47917, 17307, 27051])


def test_order_is_a_permutation_and_splits_differ():
    train, test = module.tfds_order("train", 500), module.tfds_order("test", 500)
    np.testing.assert_array_equal(np.sort(train), np.arange(500))
    assert (train != test).any()


def test_ids_of_both_splits_are_the_original_places():
    plain = {"labels": np.arange(50), "test_labels": np.arange(20)}
    plain |= {"images": plain["labels"][:, None], "test_images": plain["test_labels"][:, None]}
    moved = module.in_tfds_order(plain)
    dataset = make_dataset("moved", **moved, source="moved")
    few = first_test_examples(dataset, 7, "moved")
    for found, count in ((dataset, 20), (few, 7)):
        assert len(found.test_ids) == count
        np.testing.assert_array_equal(found.test_labels, found.test_ids)
        np.testing.assert_array_equal(found.labels, found.ids)


# What lies on the disk.


@needs_files
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_original_files_are_read_offline_in_tfds_order(name, offline):
    dataset = load_dataset(DataSpec(dataset=name, data_dir=str(SHARED)))
    plain = load_dataset(DataSpec(dataset=f"idx:{SHARED / name}"))
    np.testing.assert_array_equal(dataset.ids[:5], [16399, 1680, 47917, 17307, 27051])
    np.testing.assert_array_equal(dataset.images, plain.images[dataset.ids])
    np.testing.assert_array_equal(dataset.labels, plain.labels[dataset.ids])
    assert dataset.test_images.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(dataset.test_labels, plain.test_labels[dataset.test_ids])
    few = load_dataset(DataSpec(dataset=name, data_dir=str(SHARED), num_test_examples=40))
    np.testing.assert_array_equal(few.test_images, plain.test_images[few.test_ids])
    assert dataset.class_names[0] == {"mnist": "0", "fashion_mnist": "T-shirt/top"}[name]
    assert not offline


@pytest.mark.parametrize("name", module.IMAGE_SETS)
def test_addresses_checksums_and_classes_are_those_of_tensorflow_datasets(name):
    builder = pytest.importorskip("tensorflow_datasets").builder(name)
    found = module.IMAGE_SETS[name]
    assert {f"{found.folder}/{file}": checksum for file, checksum in found.files.items()} == {
        url: info.checksum for url, info in builder.url_infos.items()
    }
    assert list(found.class_names) == builder.info.features["label"].names


def test_files_put_into_the_folder_by_hand_are_read_offline(tmp_path, small_mnist, offline):
    put(tmp_path / "mnist", small_mnist[0])
    check_small_mnist(mnist(tmp_path))
    assert not offline


def test_without_a_flag_files_are_in_the_users_cache(tmp_path, small_mnist, offline, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    put(tmp_path / "jaxgen" / "mnist", small_mnist[0])
    check_small_mnist(load_dataset(DataSpec(dataset="mnist")))


def test_a_damaged_file_is_named(tmp_path, small_mnist, offline):
    put(tmp_path / "mnist", small_mnist[0])
    victim = tmp_path / "mnist" / FIRST
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged .*delete it and try again") as caught:
        mnist(tmp_path)
    assert str(caught.value).startswith(str(victim))
    assert victim.read_bytes() == content
    assert not offline


def test_a_file_that_cannot_be_read_is_named(tmp_path, small_mnist):
    (tmp_path / "mnist" / FIRST).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{FIRST}: cannot be read \(Is a directory\); give another --data_dir"):
        mnist(tmp_path)


def test_their_size_cannot_be_changed(tmp_path, small_mnist):
    put(tmp_path / "mnist", small_mnist[0])
    with pytest.raises(UserError, match="--image_size=8: mnist has one size"):
        mnist(tmp_path, image_size=8)


def test_neither_tensorflow_datasets_nor_pooch_is_imported_for_what_is_there(tmp_path):
    files, _ = small_idx_files()
    put(tmp_path / "mnist", files)
    program = f"""
import dataclasses, sys
from jaxgen.config import DataSpec
from jaxgen.data import image_sets, load_dataset
hashes = {dict((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())}
image_sets.IMAGE_SETS["mnist"] = dataclasses.replace(image_sets.IMAGE_SETS["mnist"], files=hashes)
print(len(load_dataset(DataSpec(dataset="mnist", data_dir={str(tmp_path)!r})).labels))
print([name for name in sys.modules if name.split(".")[0] in ("tensorflow_datasets", "tensorflow", "pooch")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["40", "[]"], done.stderr


# Without a network.


@pytest.mark.parametrize("name", module.IMAGE_SETS)
def test_offline_is_said_at_once_with_what_to_do(name, tmp_path, offline):
    began = time.perf_counter()
    with pytest.raises(UserError, match=r"does not answer .*into .*--data_dir") as caught:
        load_dataset(DataSpec(dataset=name, data_dir=str(tmp_path)))
    assert time.perf_counter() - began < 10
    assert len(offline) == 1
    assert "\n" not in str(caught.value)
    assert all(file in str(caught.value) for file in module.IMAGE_SETS[name].files)
    assert f"into {tmp_path / name}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_only_missing_files_are_named(tmp_path, small_mnist, offline):
    files, _ = small_mnist
    put(tmp_path / "mnist", {name: files[name] for name in files if name != FIRST})
    assert f"put {FIRST} into" in refusal(tmp_path)


def test_a_silent_name_server_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)

    def silent(address, timeout):
        time.sleep(2)
        raise OSError("at last")

    monkeypatch.setattr(socket, "create_connection", silent)
    began = time.perf_counter()
    assert "no answer within 0.2 seconds" in module.connection_failure("example.invalid", 443)
    assert time.perf_counter() - began < 1.9


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({"https_proxy": "http://proxy.example:3128"}, ("proxy.example", 3128)),
        ({"https_proxy": "proxy.example:3128"}, ("proxy.example", 3128)),
        ({"HTTPS_PROXY": "http://proxy.example"}, ("proxy.example", 80)),
        ({"all_proxy": "socks5://proxy.example"}, ("proxy.example", 1080)),
        ({"http_proxy": "http://proxy.example:3128"}, ("storage.googleapis.com", 443)),
        ({"https_proxy": "http://proxy.example", "no_proxy": "googleapis.com"}, ("storage.googleapis.com", 443)),
    ],
)
def test_behind_a_proxy_the_proxy_is_asked(environment, asked, tmp_path, offline, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert "does not answer" in refusal(tmp_path)
    assert offline == [asked]


def test_a_proxy_without_a_valid_address_is_said_without_its_password(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:port")
    with pytest.raises(UserError, match="proxy that the environment names has no valid address") as caught:
        mnist(tmp_path)
    assert "secret" not in str(caught.value)
    assert not offline


def test_nothing_is_fetched_unasked(tmp_path, small_mnist, server):
    spec = DataSpec(dataset="mnist", data_dir=str(tmp_path / "data"))
    with pytest.raises(UserError, match="is fetched only if asked for"):
        load_dataset(spec, fetch=False)
    assert not (tmp_path / "data").exists()
    assert not server.asked
    put(tmp_path / "data" / "mnist", small_mnist[0])
    check_small_mnist(load_dataset(spec, fetch=False))


# Downloads.


def test_missing_files_are_downloaded_once(tmp_path, server, capfd, monkeypatch):
    logger, log = pytest.importorskip("pooch").get_logger(), io.StringIO()
    logger.setLevel("NOTSET")
    monkeypatch.setattr(logger.handlers[0], "stream", log)
    files, _ = small_idx_files()
    folder = tmp_path / "data" / "mnist"
    put(folder, {FIRST: files[FIRST]})
    folder.chmod(0o750)
    check_small_mnist(mnist(tmp_path / "data"))
    assert sorted(server.asked) == sorted(f"/mnist/{name}" for name in files if name != FIRST)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name != FIRST} == {0o640}
    check_small_mnist(mnist(tmp_path / "data"))
    assert len(server.asked) == 3
    assert (*capfd.readouterr(), log.getvalue()) == ("", "", "")


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_is_shown_on_a_terminal_only(shown, tmp_path, server, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: shown
    monkeypatch.setattr(sys, "stderr", stream)
    mnist(tmp_path)
    assert (FIRST in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown


def test_downloads_go_through_the_proxy_of_the_environment(tmp_path, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    files, _ = small_idx_files()
    register(monkeypatch, "mnist", files, "http://example.invalid/there")
    check_small_mnist(mnist(tmp_path))
    assert f"http://example.invalid/there/{FIRST}" in server.asked


def test_another_file_than_the_registered_one_is_not_kept(tmp_path, server, capfd):
    server.files[FIRST] = b"<html>Sign in</html>"
    message = refusal(tmp_path)
    assert f"{server.address}/mnist/{FIRST} sent another file than the registered one" in message
    assert "try again" in message
    assert list((tmp_path / "mnist").iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [404, 503])
def test_what_a_server_refuses_is_said(status, tmp_path, server, capfd):
    server.status = status
    message = refusal(tmp_path)
    assert f"{FIRST} is not to be had ({status} {http.HTTPStatus(status).phrase})" in message
    assert f"put {FIRST} into {tmp_path / 'mnist'}" in message
    assert list((tmp_path / "mnist").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_connection_that_breaks_leaves_nothing(tmp_path, server):
    server.missing_bytes = 100
    assert f"the download of {server.address}/mnist/{FIRST} failed" in refusal(tmp_path)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_a_server_that_falls_silent_is_not_waited_for(tmp_path, server, monkeypatch):
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)
    server.pause = 3
    began = time.perf_counter()
    assert "timed out" in refusal(tmp_path)
    assert time.perf_counter() - began < 2.9


def test_a_folder_that_cannot_be_made_is_said(tmp_path, server):
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / "file")
    assert f"cannot be kept in {tmp_path / 'file' / 'mnist'}" in message
    assert "Not a directory" in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "([Errno 28] No space left on device)"),
        (PermissionError("[Errno 13] Permission denied: 'x' | Pooch could not write"), "denied: 'x')"),
    ],
)
def test_a_disk_that_takes_nothing_is_said(error, words, tmp_path, server, monkeypatch):
    import pooch

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    message = refusal(tmp_path)
    assert f"{FIRST} cannot be kept in {tmp_path / 'mnist'}" in message
    assert words in message
    assert "give a --data_dir that can be written to and has room" in message


# CIFAR's archives.


def cifar_archive(folder, label_bytes, sizes):
    """A CIFAR archive of made-up pictures, and its (fine) labels and pictures in file order."""
    rng = np.random.default_rng(0)
    path = folder / "cifar.tar.gz"
    everything = {}
    with tarfile.open(path, "w:gz") as tar:
        for name, size in sizes.items():
            pictures = rng.integers(0, 256, (size, 32, 32, 3), np.uint8)
            labels = rng.integers(0, 10, (size, label_bytes), np.uint8)
            records = np.concatenate([labels, pictures.transpose(0, 3, 1, 2).reshape(size, -1)], axis=1)
            info = tarfile.TarInfo(f"cifar-binary/{name}")
            info.size = records.nbytes
            tar.addfile(info, io.BytesIO(records.tobytes()))
            everything[name] = (pictures, labels[:, -1])
        tar.addfile(tarfile.TarInfo("cifar-binary/readme.html"))
    return path, everything


@pytest.mark.parametrize(
    ("name", "label_bytes", "classes", "train", "test"),
    [("cifar10", 1, 10, "data_batch_1.bin", "test_batch.bin"), ("cifar100", 2, 100, "train.bin", "test.bin")],
)
def test_cifar_is_read_by_name(name, label_bytes, classes, train, test, tmp_path, offline, monkeypatch):
    path, everything = cifar_archive(tmp_path, label_bytes, {train: 30, test: 12})
    [archive] = module.IMAGE_SETS[name].files
    files = {archive: path.read_bytes()}
    register(monkeypatch, name, files)
    put(tmp_path / name, files)
    dataset = load_dataset(DataSpec(dataset=name, data_dir=str(tmp_path)))
    np.testing.assert_array_equal(dataset.ids, module.tfds_order("train", 30))
    np.testing.assert_array_equal(dataset.images, everything[train][0][dataset.ids])
    np.testing.assert_array_equal(dataset.labels, everything[train][1][dataset.ids])
    np.testing.assert_array_equal(dataset.test_ids, module.tfds_order("test", 12))
    np.testing.assert_array_equal(dataset.test_images, everything[test][0][dataset.test_ids])
    np.testing.assert_array_equal(dataset.test_labels, everything[test][1][dataset.test_ids])
    assert dataset.class_names == tuple(map(str, range(classes)))
    assert not offline


@pytest.mark.parametrize(
    ("label_bytes", "sizes"),
    [(1, {"data_batch_2.bin": 3, "test_batch.bin": 4, "data_batch_1.bin": 5}), (2, {"train.bin": 6, "test.bin": 2})],
)
def test_cifar_archives_are_parsed_in_original_order(label_bytes, sizes, tmp_path):
    path, everything = cifar_archive(tmp_path, label_bytes, sizes)
    arrays = module.read_cifar(path, label_bytes, label_bytes - 1)
    train = sorted(name for name in sizes if not name.startswith("test"))
    np.testing.assert_array_equal(arrays["images"], np.concatenate([everything[name][0] for name in train]))
    np.testing.assert_array_equal(arrays["labels"], np.concatenate([everything[name][1] for name in train]))
    [test] = [name for name in sizes if name.startswith("test")]
    np.testing.assert_array_equal(arrays["test_images"], everything[test][0])


def test_cut_archives_are_named(tmp_path):
    path, _ = cifar_archive(tmp_path, 1, {"data_batch_1.bin": 2, "test_batch.bin": 2})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"cifar\.tar\.gz"):
        module.read_cifar(path, 1, 0)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    """A hostile file where originals are expected is refused before anything could load it."""
    path, _ = cifar_archive(tmp_path, 1, {"data_batch_1.bin": 2, "test_batch.bin": 2})
    content = pickle.dumps(MakesFolder(tmp_path / "called"))
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no archive that can be read"):
        module.read_cifar(path, 1, 0)
    assert not (tmp_path / "called").exists()
    pickle.loads(content)
    assert (tmp_path / "called").exists(), "who loads it runs it"
