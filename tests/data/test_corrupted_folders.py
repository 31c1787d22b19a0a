"""Folders in the layouts of CIFAR-10-C and MNIST-C: read, refused in one line, written."""

import jax
import numpy as np
import pytest

from jaxgen.data.corrupted_folders import draw_key, read_folder, write_folder
from jaxgen.errors import UserError
from jaxgen.transforms.corruptions import MNIST_STANDARD, STANDARD, corrupt

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
LABELS = np.array([1, 0, 2, 1])


@pytest.fixture
def cifar(tmp_path):
    """Every pixel is its image's place."""
    for name in ("fog", "snow"):
        places = np.arange(20, dtype=np.uint8)[:, None, None, None]
        np.save(tmp_path / f"{name}.npy", np.broadcast_to(places, (20, 8, 8, 3)))
    np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
    return tmp_path


@pytest.fixture
def mnist(tmp_path):
    for name in ("identity", "zigzag"):
        (tmp_path / name).mkdir()
        for part, count in (("train", 6), ("test", 3)):
            images = np.full((count, 28, 28, 1), count, np.uint8)
            np.save(tmp_path / name / f"{part}_images.npy", images)
            np.save(tmp_path / name / f"{part}_labels.npy", np.arange(count))
    return tmp_path


def test_five_blocks_are_five_severities(cifar):
    folder = read_folder(cifar)
    assert folder.names == ["fog", "snow"]
    assert len(folder.test) == 10
    assert not folder.train
    images, labels = folder.test["snow", 3]
    assert isinstance(images, np.memmap), "read where it is looked at"
    np.testing.assert_array_equal(images[:, 0, 0, 0], [8, 9, 10, 11])
    np.testing.assert_array_equal(labels, LABELS)
    assert read_folder(cifar, ["fog"]).names == ["fog"]
    assert read_folder(cifar, ["fog", "all", "snow"]).names == ["fog", "snow"]


def test_mnist_c_has_training_and_test_images(mnist):
    folder = read_folder(mnist)
    assert folder.names == ["zigzag"], "the identity is no corruption"
    assert folder.test["zigzag", 1].images.shape == (3, 28, 28, 1)
    assert folder.train["zigzag"].images.shape == (6, 28, 28, 1)
    np.testing.assert_array_equal(folder.train["zigzag"].labels, np.arange(6))


def test_standard_means_the_15_of_the_layout(cifar, mnist):
    with pytest.raises(UserError, match=r"gaussian_noise, shot_noise, .*, jpeg_compression is missing; it has fog, sn"):
        read_folder(cifar, ["standard"])
    for name in (*STANDARD, "spatter", "saturate"):
        np.save(cifar / f"{name}.npy", np.zeros((20, 8, 8, 3), np.uint8))
    assert read_folder(cifar, ["standard"]).names == sorted(STANDARD)
    assert read_folder(cifar, ["standard", "fog", "spatter"]).names == sorted([*STANDARD, "spatter"])
    assert len(read_folder(cifar, ["all"]).names) == 17
    # The fixtures share a folder, whose layout is told by its labels.
    (cifar / "labels.npy").unlink()
    for name in (*MNIST_STANDARD, "quantize"):
        (mnist / name).mkdir(exist_ok=True)
        for file in (mnist / "zigzag").iterdir():
            (mnist / name / file.name).write_bytes(file.read_bytes())
    assert read_folder(mnist, ["standard"]).names == sorted(MNIST_STANDARD)
    assert len(read_folder(mnist).names) == 16


@pytest.mark.parametrize(
    ("file", "array", "said"),
    [
        ("labels.npy", np.arange(19), "labels.npy: holds 19 labels; 5 blocks"),
        ("labels.npy", np.ones(20), "labels.npy: holds float64"),
        ("fog.npy", np.zeros((15, 8, 8, 3), np.uint8), "fog.npy: holds 15 images for the 20 labels of labels.npy"),
        ("fog.npy", np.zeros((20, 8, 8, 3)), "fog.npy: holds float64"),
        ("fog.npy", np.zeros((20, 64), np.uint8), r"of shape \(20, 64\); uint8 \[n, h, w, d\]"),
        ("fog.npy", np.zeros((20, 8, 8, 2), np.uint8), "1 or 3 channels"),
        ("fog.npy", np.array([{}]), "fog.npy: is no .npy file that can be read"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(cifar, file, array, said):
    np.save(cifar / file, array)
    with pytest.raises(UserError, match=said) as error:
        read_folder(cifar)
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named(cifar, mnist, tmp_path):
    with pytest.raises(UserError, match="frost is missing; it has fog, snow"):
        read_folder(cifar, ["fog", "frost"])
    (cifar / "labels.npy").unlink()
    (mnist / "zigzag" / "train_labels.npy").unlink()
    with pytest.raises(UserError, match=r"train_labels.npy: is missing; fetch the whole folder"):
        read_folder(mnist)
    with pytest.raises(UserError, match=r"nowhere: there is no such folder"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has neither labels.npy, as CIFAR-10-C, nor"):
        read_folder(tmp_path / "empty")
    np.save(tmp_path / "empty" / "labels.npy", np.tile(LABELS, 5))
    with pytest.raises(UserError, match=r"every corruption is missing; it has none"):
        read_folder(tmp_path / "empty")


def test_a_damaged_file_is_refused(cifar):
    whole = (cifar / "fog.npy").read_bytes()
    for damaged in (whole[:200], b"", b"nothing of the kind"):
        (cifar / "fog.npy").write_bytes(damaged)
        with pytest.raises(UserError, match=r"fog.npy: is no .npy file that can be read"):
            read_folder(cifar)


def test_what_is_written_is_read_again(tmp_path):
    root = tmp_path / "new" / "set"
    write_folder(root, IMAGES, LABELS, seed=7, names=["contrast"])
    write_folder(root, IMAGES, LABELS, seed=7, names=["occlusion"])
    assert sorted(path.name for path in root.iterdir()) == ["contrast.npy", "labels.npy", "occlusion.npy"]
    folder = read_folder(root)
    assert folder.names == ["contrast", "occlusion"]
    for name, severity in (("contrast", 5), ("occlusion", 2)):
        images, labels = folder.test[name, severity]
        np.testing.assert_array_equal(labels, LABELS)
        expected = corrupt(name, draw_key(7, name, severity), IMAGES, severity=severity)
        np.testing.assert_array_equal(images, expected)
    floats = tmp_path / "floats"
    write_folder(floats, IMAGES / np.float32(255), LABELS, seed=7, names=["contrast"])
    np.testing.assert_array_equal(read_folder(floats).test["contrast", 5].images, folder.test["contrast", 5].images)


def test_what_is_there_with_the_same_content_stays(tmp_path):
    write_folder(tmp_path, IMAGES, LABELS, seed=7, names=["contrast"])
    before = (tmp_path / "contrast.npy").stat()
    write_folder(tmp_path, IMAGES, LABELS, seed=7, names=["contrast", "occlusion"])
    after = (tmp_path / "contrast.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contrast.npy", "labels.npy", "occlusion.npy"]
    with pytest.raises(UserError, match=r"occlusion.npy: is there already, with other content"):
        write_folder(tmp_path, IMAGES, LABELS, seed=8, names=["contrast", "occlusion"])


def test_every_corruption_and_severity_draws_for_itself():
    keys = [draw_key(0, name, severity) for name in ("fog", "gof", "snow") for severity in range(1, 6)]
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == 15


def test_what_cannot_be_written_is_refused(cifar):
    with pytest.raises(UserError, match=r"fog.npy: is there already, with other content; remove it"):
        write_folder(cifar, IMAGES, LABELS, names=["fog"])
    np.save(cifar / "snow.npy", np.zeros((15, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"snow.npy: is there already, with other content"):
        write_folder(cifar, IMAGES, LABELS, names=["snow"])
    with pytest.raises(UserError, match=r"labels.npy: has other labels"):
        write_folder(cifar, IMAGES, LABELS[::-1], names=["contrast"])
    with pytest.raises(UserError, match="labels are int64 of shape"):
        write_folder(cifar, IMAGES, LABELS[:3], names=["contrast"])
    with pytest.raises(UserError, match="corruption rain: unknown; known: "):
        write_folder(cifar, IMAGES, LABELS, names=["rain"])
    with pytest.raises(UserError, match=r"shape \(4, 64\): takes images"):
        write_folder(cifar, IMAGES.reshape(4, -1)[:, :64], LABELS)
    assert not (cifar / "contrast.npy").exists()
