"""tensorflow-datasets without TensorFlow: order, archives, cache, checksums, and what is said when offline."""

import io
import pathlib
import pickle
import shutil
import socket
import sys
import tarfile
import time

import numpy as np
import pytest
import tensorflow_datasets
from etils import epath
from tensorflow_datasets.core.download import resource

from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data import tfds as module
from jaxgen.data.checks import make_dataset
from jaxgen.data.parts import first_test_examples
from jaxgen.errors import UserError
from support.forging import MakesFolder

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
needs_files = pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the original MNIST files are not at hand")


@pytest.fixture
def offline(monkeypatch):
    """No host answers; counts who asked."""
    asked = []

    def refuse(address, *arguments, **options):
        asked.append(address)
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return asked


def test_a_silent_name_server_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)

    def silent(address, timeout):
        time.sleep(2)
        raise OSError("at last")

    monkeypatch.setattr(socket, "create_connection", silent)
    began = time.perf_counter()
    assert "no answer within 0.2 seconds" in module.connection_failure("example.invalid", 443)
    assert time.perf_counter() - began < 1.9


def seed_cache(folder, name, files):
    """Puts original files where tensorflow-datasets would have put them."""
    builder = tensorflow_datasets.builder(name, data_dir=str(folder))
    cache = folder / "downloads" / name
    cache.mkdir(parents=True)
    for url, info in builder.url_infos.items():
        original = files / url.split("/")[-1]
        path = cache / resource.get_dl_fname(url, info.checksum)
        shutil.copyfile(original, path)
        resource.write_info_file(
            url=url, path=epath.Path(path), dataset_name=name, original_fname=original.name, url_info=info
        )
    return cache


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


@needs_files
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_cached_originals_are_read_offline_in_tfds_order(name, tmp_path, offline):
    seed_cache(tmp_path, name, SHARED / name)
    dataset = load_dataset(DataSpec(dataset=name, data_dir=str(tmp_path)))
    plain = load_dataset(DataSpec(dataset=f"idx:{SHARED / name}"))
    np.testing.assert_array_equal(dataset.images, plain.images[dataset.ids])
    np.testing.assert_array_equal(dataset.labels, plain.labels[dataset.ids])
    assert dataset.test_images.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(dataset.test_labels, plain.test_labels[dataset.test_ids])
    few = load_dataset(DataSpec(dataset=name, data_dir=str(tmp_path), num_test_examples=40))
    np.testing.assert_array_equal(few.test_images, plain.test_images[few.test_ids])
    assert dataset.class_names[0] == {"mnist": "0", "fashion_mnist": "T-shirt/top"}[name]
    assert not offline
    assert "tensorflow" not in sys.modules


@needs_files
def test_a_damaged_cache_is_named(tmp_path):
    cache = seed_cache(tmp_path, "mnist", SHARED / "mnist")
    victim = sorted(path for path in cache.iterdir() if path.suffix == ".gz")[0]
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    with pytest.raises(UserError, match="is damaged") as caught:
        load_dataset(DataSpec(dataset="mnist", data_dir=str(tmp_path)))
    assert victim.name in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_offline_is_said_at_once_with_what_to_do(name, tmp_path, offline):
    began = time.perf_counter()
    with pytest.raises(UserError, match=r"does not answer .*--data_dir") as caught:
        load_dataset(DataSpec(dataset=name, data_dir=str(tmp_path)))
    assert time.perf_counter() - began < 10
    assert len(offline) == 1
    assert "\n" not in str(caught.value)


def test_behind_a_proxy_the_proxy_is_asked(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    with pytest.raises(UserError, match="does not answer"):
        load_dataset(DataSpec(dataset="mnist", data_dir=str(tmp_path)))
    assert offline == [("proxy.example", 3128)]


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


def test_any_other_set_is_read_through_its_data_source():
    with tensorflow_datasets.testing.mock_data(num_examples=25):
        dataset = load_dataset(DataSpec(dataset="kmnist"))
    assert dataset.images.shape == (25, 28, 28, 1)
    assert dataset.num_classes == 10
    assert "tensorflow" not in sys.modules


def test_images_of_a_set_can_be_resized():
    with tensorflow_datasets.testing.mock_data(num_examples=25):
        dataset = load_dataset(DataSpec(dataset="svhn_cropped", image_size=16))
    assert dataset.images.shape == (25, 16, 16, 3)


def test_a_set_without_labelled_images_is_refused():
    with tensorflow_datasets.testing.mock_data(num_examples=5), pytest.raises(UserError, match="no set of labelled"):
        load_dataset(DataSpec(dataset="dsprites"))


def test_a_set_that_is_not_prepared_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not prepared as array_record.*jaxgen\[tf\]"):
        load_dataset(DataSpec(dataset="kmnist", data_dir=str(tmp_path)))


def test_names_nobody_knows_are_refused():
    with pytest.raises(UserError, match="no name of tensorflow-datasets"):
        load_dataset(DataSpec(dataset="mnits"))


def test_without_tensorflow_datasets_its_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match="tensorflow-datasets cannot be imported"):
        load_dataset(DataSpec(dataset="mnist"))


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
