"""Every source gives the same kind of checked data set, and refuses in one line what it cannot use."""

import dataclasses
import gzip
import re
import shutil
import struct

import datasets
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from jaxgen.config import DataSpec
from jaxgen.data import EMBEDDED, READERS, load_dataset
from jaxgen.data.checks import make_dataset
from jaxgen.data.idx import FILES, read_idx
from jaxgen.data.parts import channel_moments, hold_out_test, with_normalized_channels
from jaxgen.errors import UserError

IMAGES = np.arange(0, 5 * 5 * 3 * 3, 5, dtype=np.uint8).reshape(5, 3, 3)
LABELS = np.array([0, 1, 1, 0, 2])


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, packed=True):
    folder.mkdir(exist_ok=True)
    for part, name in FILES.items():
        array = IMAGES if "images" in part else LABELS.astype(np.uint8)
        content = idx_bytes(array)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return f"idx:{folder}"


def write_npz(folder, **arrays):
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


def write_images(folder, sizes=((4, 4),) * 4, mode="L"):
    for i, size in enumerate(sizes):
        (folder / f"class {i % 2}").mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, 10 * i if mode == "L" else (10 * i, 0, 5)).save(folder / f"class {i % 2}" / f"{i}.png")
    return f"images:{folder}"


def write_csv(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return f"csv:{path}"


def write_parquet(folder, columns):
    path = folder / "table.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return f"parquet:{path}"


# Fingerprints of data as they are and whitened, from before channels could be normalized.
RECORDED = ["932357ef710f", "f60e97eeb56b"]
TABLE = "id,height,width,label\nx1,1,2,oak\nx2,3,4,elm\nx3,5,9,oak\n"


def write_saved(folder):
    datasets.disable_progress_bars()
    columns = {"a": [1.5, 2, 3], "label": ["x", "y", "x"]}
    datasets.Dataset.from_dict(columns).save_to_disk(folder / "saved")
    return f"hf:{folder / 'saved'}"


MAKERS = {
    "csv": lambda folder: write_csv(folder, TABLE),
    "hf": write_saved,
    "idx": write_idx,
    "images": lambda folder: write_images(folder / "pictures"),
    "npz": lambda folder: write_npz(folder, images=IMAGES, labels=LABELS),
    "parquet": lambda folder: write_parquet(folder, {"a": [1.5, 2, 3], "label": ["x", "y", "x"]}),
}


def load(name, **flags):
    return load_dataset(DataSpec(dataset=name, **flags))


def check_contract(dataset):
    n = len(dataset.labels)
    assert len(dataset.images) == len(dataset.ids) == n
    assert dataset.images.dtype in (np.uint8, np.float32)
    assert dataset.images.ndim in (2, 4)
    assert dataset.labels.dtype == np.int32
    assert 0 <= dataset.labels.min() <= dataset.labels.max() < dataset.num_classes
    assert all(isinstance(name, str) for name in dataset.class_names)
    assert dataset.ids.dtype.kind in "iuU"
    assert len(dataset.fingerprint) == 64
    inputs = dataset.images * np.float32(dataset.scale)
    assert np.isfinite(inputs).all()
    if dataset.has_images:
        assert 0 <= inputs.min() <= inputs.max() <= 1


@pytest.mark.parametrize("kind", sorted(READERS))
def test_every_kind_of_source_keeps_the_contract(kind, tmp_path):
    assert MAKERS.keys() == READERS.keys()
    check_contract(load(MAKERS[kind](tmp_path)))


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_every_embedded_set_keeps_the_contract(name):
    check_contract(load(name))


def test_digits_are_scaled_by_sixteenths():
    digits = load("digits")
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.scale == 1 / 16
    assert digits.images.max() == 16
    assert digits.notes == ()


@pytest.mark.parametrize("packed", [True, False])
def test_idx_is_read_packed_or_plain(packed, tmp_path):
    dataset = load(write_idx(tmp_path / "my_set", packed))
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    np.testing.assert_array_equal(dataset.test_labels, LABELS)
    assert dataset.name == "my_set"


def test_idx_in_its_other_spelling(tmp_path):
    write_idx(tmp_path, packed=False)
    for name in FILES.values():
        (tmp_path / name).rename(tmp_path / name.replace("-idx", ".idx"))
    np.testing.assert_array_equal(load(f"idx:{tmp_path}").images[..., 0], IMAGES)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with"),
        (b"\x00\x00\x0d\x03" + bytes(20), "starts with"),
        (idx_bytes(LABELS.astype(np.uint8)), "starts with"),
        (idx_bytes(IMAGES)[:8], "cut off in its header"),
        (idx_bytes(IMAGES)[:-1], "fewer bytes"),
        (idx_bytes(IMAGES) + b"x", "more bytes"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "fewer bytes"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:-9], "cannot be read"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:12], "cannot be read"),
    ],
)
def test_bad_idx_files_are_named(content, complaint, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_a_missing_idx_file_is_named(tmp_path):
    name = write_idx(tmp_path)
    (tmp_path / f"{FILES['test_labels']}.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is missing"):
        load(name)


def test_npz_takes_both_names_and_all_extras(tmp_path):
    name = write_npz(
        tmp_path, x=IMAGES, y=LABELS, test_x=IMAGES, test_y=LABELS, class_names=["u", "v", "w"], ids=[9, 8, 7, 6, 5]
    )
    dataset = load(name)
    assert dataset.class_names == ("u", "v", "w")
    np.testing.assert_array_equal(dataset.ids, [9, 8, 7, 6, 5])
    np.testing.assert_array_equal(dataset.test_images, dataset.images)


@pytest.mark.parametrize(
    ("labels", "names", "mapped"),
    [
        ([7, -2, 7, 30, 30], ("-2", "7", "30"), [1, 0, 1, 2, 2]),
        (["b", "a", "b", "ß", "ß"], ("a", "b", "ß"), [1, 0, 1, 2, 2]),
        ([0.0, 3.0, 3.0, 0.0, 1.0], ("0", "1", "3"), [0, 2, 2, 0, 1]),
        ([True, False, False, True, True], ("False", "True"), [1, 0, 0, 1, 1]),
        ([b"b", b"a", b"b", b"a", b"a"], ("a", "b"), [1, 0, 1, 0, 0]),
    ],
)
def test_labels_of_any_kind_are_mapped_and_keep_their_names(labels, names, mapped, tmp_path):
    dataset = load(write_npz(tmp_path, images=IMAGES, labels=np.array(labels)))
    assert dataset.class_names == names
    np.testing.assert_array_equal(dataset.labels, mapped)


BAD_NPZ = [
    ({"images": IMAGES}, "has no array labels or y; it has images; save it by this name, as in numpy"),
    ({"labels": LABELS}, "has no array images or x"),
    ({"images": IMAGES, "labels": np.array([object()] * 5)}, "Python objects"),
    ({"images": np.full((5, 3, 3), np.nan), "labels": LABELS}, "example 0 has a value that is not finite"),
    ({"images": IMAGES, "labels": LABELS[:4]}, "for 5 examples; needed: one label an example; give as many of both"),
    ({"images": IMAGES, "labels": np.zeros(5, int)}, "two classes or more are needed: add examples of others, or name"),
    ({"images": IMAGES, "labels": np.array([0.5, 1, 1, 0, 2])}, "not a quantity"),
    ({"images": IMAGES[0, 0], "labels": LABELS[:3]}, "have shape"),
    ({"images": IMAGES[:0], "labels": LABELS[:0]}, "have shape"),
    ({"images": np.zeros((5, 2, 8, 8), np.uint8), "labels": LABELS}, "1, 3 or 4 channels"),
    ({"images": IMAGES.astype(str), "labels": LABELS}, "numbers are needed"),
    ({"images": IMAGES, "labels": LABELS, "test_images": IMAGES}, "must come together"),
    ({"images": IMAGES, "labels": LABELS, "test_x": IMAGES[:, :2], "test_y": LABELS}, "must be alike"),
    ({"images": IMAGES, "labels": LABELS, "test_x": IMAGES, "test_y": LABELS + 1}, "test label 3"),
    ({"images": IMAGES, "labels": LABELS, "class_names": ["a", "b"]}, "2 class_names need"),
    ({"images": IMAGES, "labels": LABELS, "ids": [1, 2]}, "5 integers or texts"),
    ({"images": IMAGES, "labels": np.array([b"\xff", b"a", b"a", b"a", b"a"])}, "not UTF-8"),
    ({"images": IMAGES, "labels": LABELS, "class_names": [b"\xff", b"b", b"c"]}, "not UTF-8"),
    ({"images": IMAGES, "labels": LABELS, "test_x": IMAGES / 255, "test_y": LABELS}, "save both as one type"),
    ({"images": IMAGES / 255, "labels": LABELS, "test_x": IMAGES * 1.0, "test_y": LABELS}, "one scale"),
    ({"images": np.linspace(-1, 1, 45).reshape(5, 3, 3) * 1e308, "labels": LABELS}, "too large"),
    ({"images": np.linspace(-1, 1, 10).reshape(5, 2) * 1e200, "labels": LABELS}, "too large"),
]


@pytest.mark.parametrize(("arrays", "complaint"), BAD_NPZ, ids=[complaint for _, complaint in BAD_NPZ])
def test_bad_npz_is_refused_in_one_line(arrays, complaint, tmp_path):
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        load(write_npz(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_an_npz_with_a_flipped_bit_is_what_it_was_or_is_refused(tmp_path):
    path, num_refused = tmp_path / "x.npz", 0
    np.savez_compressed(path, images=IMAGES, labels=LABELS)
    content = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(content), 600, replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            dataset = load(f"npz:{path}")
        except UserError:
            num_refused += 1
        else:
            np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
            np.testing.assert_array_equal(dataset.labels, LABELS)
    # Most of the file is what its check sums are of.
    assert 300 < num_refused < 600


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"hello"])
def test_what_is_no_npz_is_refused(content, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not an \.npz file|cannot be read"):
        load(f"npz:{path}")


def test_a_bare_npy_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(UserError, match=r"not an \.npz file"):
        load(f"npz:{tmp_path / 'x.npy'}")


def test_float_images_are_brought_into_range(tmp_path):
    wide = load(write_npz(tmp_path, images=IMAGES * 10.0 - 5, labels=LABELS))
    assert (wide.images.min(), wide.images.max()) == (0, 1)
    unit = IMAGES / np.float32(250)
    np.testing.assert_array_equal(load(write_npz(tmp_path, images=unit, labels=LABELS)).images[..., 0], unit)


def test_features_are_standardised_and_constants_are_harmless(tmp_path):
    dataset = load(write_npz(tmp_path, images=np.column_stack([np.arange(5) * 1e6, np.ones(5)]), labels=LABELS))
    np.testing.assert_allclose(dataset.images.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(dataset.images.std(0), [1, 0], atol=1e-6)


def test_a_constant_that_has_no_exact_mean_is_harmless(tmp_path):
    """0.1 added up 1,797 times and divided again is not 0.1."""
    features = np.column_stack([np.arange(1797), np.full(1797, 0.1)])
    tests = np.array([[0, 0.1], [1, 0.2]])
    name = write_npz(tmp_path, images=features, labels=np.arange(1797) % 2, test_images=tests, test_labels=[0, 1])
    dataset = load(name)
    assert np.abs(dataset.images[:, 1]).max() < 1e-9
    assert np.abs(dataset.test_images[:, 1]).max() < 1


def test_half_precision_images_do_not_overflow(tmp_path):
    images = np.linspace(-60000, 60000, 45).reshape(5, 3, 3).astype(np.float16)
    np.testing.assert_allclose(load(write_npz(tmp_path, images=images, labels=LABELS)).images.max(), 1)


def test_sixteen_bit_pictures_keep_their_range(tmp_path):
    for kind, low in (("a", 0), ("b", 32768)):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.linspace(low, low + 32767, 16).astype(np.uint16).reshape(4, 4)).save(
            tmp_path / kind / "x.png"
        )
    dataset = load(f"images:{tmp_path}")
    np.testing.assert_array_equal(dataset.images[[0, 0, 1, 1], [0, 3, 0, 3], [0, 3, 0, 3], 0], [0, 127, 128, 255])


def test_folders_that_programs_leave_behind_are_no_classes(tmp_path):
    name = write_images(tmp_path)
    for left in (".ipynb_checkpoints", "__MACOSX"):
        shutil.copytree(tmp_path / "class 0", tmp_path / left)
    assert load(name).class_names == ("class 0", "class 1")


def test_image_folders_give_classes_and_file_names(tmp_path):
    dataset = load(write_images(tmp_path))
    assert dataset.class_names == ("class 0", "class 1")
    assert dataset.ids.tolist() == ["class 0/0.png", "class 0/2.png", "class 1/1.png", "class 1/3.png"]
    np.testing.assert_array_equal(dataset.images[:, 0, 0, 0], [0, 20, 10, 30])


def test_image_folders_may_hold_a_test_split_and_colour(tmp_path):
    write_images(tmp_path / "train")
    write_images(tmp_path / "test", mode="RGB")
    dataset = load(f"images:{tmp_path}")
    assert dataset.images.shape == dataset.test_images.shape == (4, 4, 4, 3)


@pytest.mark.parametrize(
    ("images", "labels", "tests", "test_labels"),
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("training_images", "training_labels", "testing_images", "testing_labels"),
        ("X", "Y", "val_images", "val_labels"),
    ],
)
def test_npz_takes_the_layouts_of_others(tmp_path, images, labels, tests, test_labels):
    arrays = {images: IMAGES, labels: LABELS[:, None], tests: IMAGES[:2] // 2, test_labels: LABELS[:2, None]}
    dataset = load(write_npz(tmp_path, **arrays, extra=np.arange(3)))
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    np.testing.assert_array_equal(dataset.test_images[..., 0], IMAGES[:2] // 2)
    np.testing.assert_array_equal(dataset.test_labels, LABELS[:2])
    *_, left = dataset.notes
    assert left == "not read: extra"
    assert all(f"{name} as" in dataset.notes[0] for name in (images, labels, tests) if name not in ("X", "test_images"))


def test_a_validation_set_beside_a_test_set_is_not_read_and_told(tmp_path):
    more = {"test_images": IMAGES[:2], "test_labels": LABELS[:2], "val_images": IMAGES[2:], "val_labels": LABELS[2:]}
    dataset = load(write_npz(tmp_path, images=IMAGES, labels=LABELS, **more))
    np.testing.assert_array_equal(dataset.test_images[..., 0], IMAGES[:2])
    assert dataset.notes == ("not read: val_images, val_labels",)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["0.0", "1.0", "1.0", "0.0", "10.0"], ("0", "1", "10")),
        (["0", "1.", "1", "0", "-2.00"], ("-2", "0", "1")),
        (["007", "1", "1", "007", "08"], ("1", "007", "08")),
        (["0.5", "1.0", "1.0", "0.5", "2.0"], ("0.5", "1.0", "2.0")),
        ([0.0, 1.0, 1.0, 0.0, 2.0], ("0", "1", "2")),
    ],
)
def test_whole_numbers_written_with_a_point_are_whole_numbers(tmp_path, labels, names):
    assert load(write_npz(tmp_path, images=IMAGES, labels=np.array(labels))).class_names == names


def test_one_hot_labels_are_taken_and_others_of_two_axes_refused(tmp_path):
    dataset = load(write_npz(tmp_path, images=IMAGES, labels=np.eye(3)[LABELS]))
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.notes == ("labels are one-hot, of 3 classes",)
    for labels in (np.eye(3)[LABELS] * 0.9, np.ones((5, 2)), np.zeros((5, 3))):
        with pytest.raises(UserError, match="needed: one label an example"):
            load(write_npz(tmp_path, images=IMAGES, labels=labels))


def test_channels_that_come_first_are_moved_to_the_end(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3)).astype(np.uint8)
    dataset = load(write_npz(tmp_path, images=np.moveaxis(colour, -1, 1), labels=LABELS))
    np.testing.assert_array_equal(dataset.images, colour)
    assert dataset.notes == ("images of 3x8x6 have their channels first, which were moved to the end",)


@pytest.mark.parametrize("largest", [1, 16, 63])
def test_bytes_far_below_255_are_scaled_as_other_numbers_are(tmp_path, largest):
    values = np.random.default_rng(0).integers(0, largest + 1, (5, 8, 8))
    values[0, 0, :2] = 0, largest
    as_bytes = load(write_npz(tmp_path, images=values.astype(np.uint8), labels=LABELS))
    as_numbers = load(write_npz(tmp_path, images=values, labels=LABELS))
    np.testing.assert_allclose(as_bytes.images * as_bytes.scale, as_numbers.images * as_numbers.scale, rtol=1e-6)
    assert as_bytes.notes == (f"bytes go up to {largest} only, which was taken for white",)
    values[0, 0, 0] = 64
    assert load(write_npz(tmp_path, images=values.astype(np.uint8), labels=LABELS)).scale == 1 / 255


def test_values_a_little_above_one_are_in_the_unit_range(tmp_path):
    unit = np.random.default_rng(0).random((5, 8, 8))
    unit[0, 0, 0] = 1
    more = {"test_images": unit[:2] * 1.0000001, "test_labels": LABELS[:2]}
    dataset = load(write_npz(tmp_path, images=unit, labels=LABELS, **more))
    np.testing.assert_allclose(dataset.test_images[..., 0], unit[:2], rtol=1e-6)
    more["test_images"] = unit[:2] * 2
    with pytest.raises(UserError, match="bring them to one scale"):
        load(write_npz(tmp_path, images=unit, labels=LABELS, **more))


def test_images_of_many_sizes_need_image_size(tmp_path):
    name = write_images(tmp_path, sizes=((4, 4), (6, 5)))
    with pytest.raises(UserError, match=r"6x5 pixels.*--image_size"):
        load(name)
    assert load(name, image_size=7).images.shape == (2, 7, 7, 1)


def test_a_broken_picture_is_named(tmp_path):
    name = write_images(tmp_path)
    (tmp_path / "class 0" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"bad\.png: is not a picture"):
        load(name)


def test_a_folder_without_pictures_says_how_it_should_look(tmp_path):
    with pytest.raises(UserError, match="named by class"):
        load(f"images:{tmp_path}")


def test_a_quantity_is_no_label_of_a_csv(tmp_path):
    with pytest.raises(UserError, match="column label holds numbers that are not whole; classes are needed"):
        load(write_csv(tmp_path, "label,v\n0.5,1\n2,2\n0.7,3\n"))
    assert load(write_csv(tmp_path, "label,v\n1.0,1\n2.0,2\n1.0,3\n")).num_classes == 2


def test_csv_gives_columns_labels_and_ids(tmp_path):
    dataset = load(write_csv(tmp_path, TABLE))
    assert dataset.class_names == ("elm", "oak")
    assert dataset.ids.tolist() == ["x1", "x2", "x3"]
    assert dataset.images.shape == (3, 2)
    numbered = load(write_csv(tmp_path, "kind,v\n10,1\n9,2\n10,3\n"), label_column="kind")
    assert numbered.class_names == ("9", "10"), "numbers sort as numbers"
    padded = load(write_csv(tmp_path, "label,id,v\n01,007,1\n2.0,08,2\n+1,09,3\n"))
    assert padded.class_names == ("1", "2"), "whole numbers in any spelling are the same class"
    assert padded.ids.tolist() == ["007", "08", "09"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no rows"),
        ("label,a\n", "no rows"),
        ("a,b\n1,2\n3,4\n", "--label_column=label"),
        ("label,a\nx,1\ny,none\n", "column a, line 3: 'none'"),
        ("label,a\n\nx,1\ny,\n", "column a, line 4: has no value (1 of 2 are missing)"),
        ("label,a\nx,1\ny,inf\n", "line 3: 'inf'"),
        ("label,a\nx,1\ny,2,3\n", "line 3 has 3 cells"),
        ("label,a,a\nx,1,2\n", "2 columns have the name a; give each"),
        ("label\nx\ny\n", "no column of numbers"),
        ("label,a\nx,1\nx,2\n", "two classes"),
        ("label,a\nx,1\n,2\ny,3\n", "line 3 has no label"),
    ],
)
def test_bad_tables_are_refused(text, complaint, tmp_path):
    with pytest.raises(UserError, match=re.escape(complaint)):
        load(write_csv(tmp_path, text))


@pytest.mark.parametrize("kind", sorted(READERS))
def test_what_is_not_there_is_said(kind, tmp_path):
    with pytest.raises(UserError, match="there is no such"):
        load(f"{kind}:{tmp_path / 'nowhere'}")


def test_the_first_examples_can_be_taken_alone(tmp_path):
    name = write_npz(tmp_path, images=IMAGES, labels=LABELS)
    cut = load(name, num_examples=3)
    assert len(cut.labels) == len(cut.ids) == 3
    assert cut.num_classes == 3
    assert cut.fingerprint != load(name).fingerprint
    for count, complaint in ((6, "has 5 training examples"), (1, "one class")):
        with pytest.raises(UserError, match=complaint):
            load(name, num_examples=count)


def test_channels_are_normalized_by_all_training_images(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 3), np.uint8)
    images[..., 2] = 9
    name = write_npz(tmp_path, images=images, labels=LABELS, test_images=images[:2] // 2, test_labels=LABELS[:2])
    # Parts are added up: five images are three of them.
    monkeypatch.setattr("jaxgen.data.parts.IMAGES_AT_ONCE", 2)
    normalized = load(name, normalize_channels=True)
    mean, deviation = normalized.channel_moments
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)) / 255)
    np.testing.assert_allclose(deviation[:2], images.std((0, 1, 2))[:2] / 255)
    assert deviation[2] == 1, "a constant channel is divided by 1"
    plain, whitened = load(name), load(name, whiten=True)
    assert plain.channel_moments is None
    assert len({data.fingerprint for data in (plain, whitened, normalized)}) == 3
    fewer = load(name, normalize_channels=True, num_examples=4)
    np.testing.assert_allclose(fewer.channel_moments.mean, images[:4].mean((0, 1, 2)) / 255)


def test_channels_are_normalized_anew_where_a_test_set_is_held_out():
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 3, 1), np.uint8)
    dataset = make_dataset("x", images, np.arange(40) % 2, source="x")
    split = hold_out_test(with_normalized_channels(dataset, True, "x"), 0.25, 0)
    assert split.channel_moments == channel_moments(split.images, split.scale)
    assert split.channel_moments != channel_moments(images, split.scale)
    assert hold_out_test(dataset, 0.25, 0).channel_moments is None


def test_what_cannot_be_normalized_is_refused(tmp_path):
    said = "--normalize_channels: --whiten standardizes each image already; leave one of the two out"
    with pytest.raises(UserError, match=said):
        DataSpec(whiten=True, normalize_channels=True)
    with pytest.raises(UserError, match=r"--normalize_channels: is for images, and csv:.* has rows of features"):
        load(write_csv(tmp_path, TABLE), normalize_channels=True)


def test_the_fingerprint_of_data_that_are_not_normalized_by_channel_is_what_it_was():
    images = np.arange(60, dtype=np.uint8).reshape(10, 3, 2, 1)
    dataset = make_dataset("x", images, np.arange(10) % 2, source="x", scale=1 / 255)
    prints = [data.fingerprint[:12] for data in (dataset, dataclasses.replace(dataset, whiten=True))]
    assert prints == RECORDED


def test_the_fingerprint_sees_values_labels_scale_and_shape():
    def fingerprint(images=IMAGES, labels=LABELS, **options):
        return make_dataset("x", images, labels, source="x", **options).fingerprint

    prints = {
        fingerprint(),
        fingerprint(images=IMAGES.reshape(5, 1, 9)),
        fingerprint(labels=LABELS[::-1]),
        fingerprint(scale=1.0),
        # One more class is one more output of the network.
        fingerprint(class_names=["a", "b", "c", "d"]),
        fingerprint(test_images=IMAGES, test_labels=LABELS),
    }
    assert len(prints) == 6
    assert fingerprint() == fingerprint(ids=np.arange(5) + 3), "ids are not trained on"


@pytest.mark.parametrize(
    ("labels", "test_labels", "names"),
    [
        ([0, 1] * 3, ["0", "1"] * 3, ("0", "1")),
        (["1", "2"] * 3, ["1.0", "2.0"] * 3, ("1", "2")),
        (["1", "2"] * 3, [1, 2] * 3, ("1", "2")),
        ([0.0, 1.0] * 3, [0, 1] * 3, ("0", "1")),
        (np.eye(2)[[0, 1] * 3], [0, 1] * 3, ("0", "1")),
        ([0, 1] * 3, ["0", "x"] * 3, "s: test labels are texts such as 'x', and those of the other examples numbers"),
        (["a", "b"] * 3, [0, 1] * 3, "s: labels are texts such as 'a', and those of the other examples numbers; save"),
    ],
)
def test_whole_numbers_are_one_class_in_any_type_in_training_and_testing(labels, test_labels, names):
    values = np.random.default_rng(0).normal(size=(6, 2))
    given = {"source": "s", "test_images": values, "test_labels": np.array(test_labels)}
    if isinstance(names, str):
        with pytest.raises(UserError, match=re.escape(names)):
            make_dataset("d", values, np.array(labels), **given)
        return
    dataset = make_dataset("d", values, np.array(labels), **given)
    assert dataset.class_names == names
    assert dataset.labels.tolist() == dataset.test_labels.tolist() == [0, 1] * 3


def write_emnist(folder, name, labels):
    for part, images in (("train", IMAGES), ("test", IMAGES[:2])):
        turned = images.swapaxes(1, 2).copy()
        folder.mkdir(exist_ok=True)
        content = {"images-idx3-ubyte.gz": turned, "labels-idx1-ubyte.gz": labels[: len(images)].astype(np.uint8)}
        for file, array in content.items():
            (folder / f"{name}-{part}-{file}").write_bytes(gzip.compress(idx_bytes(array), mtime=0))


def test_emnist_is_upright_and_has_its_characters(tmp_path):
    letters = LABELS - LABELS.min() + 1
    write_emnist(tmp_path, "emnist-letters", letters)
    plain = load(f"idx:{tmp_path}")
    np.testing.assert_array_equal(plain.images[..., 0], IMAGES)
    np.testing.assert_array_equal(plain.test_images[..., 0], IMAGES[:2])
    assert plain.notes == ("images of EMNIST are stored on their side, and were turned upright",)
    lines = "".join(f"{label} {64 + label} {96 + label}\n" for label in sorted({*letters.tolist()}, reverse=True))
    (tmp_path / "emnist-letters-mapping.txt").write_text(lines)
    named = load(f"idx:{tmp_path}")
    assert [named.class_names[label] for label in named.labels] == [chr(64 + i) + chr(96 + i) for i in letters]
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65\n")
    with pytest.raises(UserError, match=r"is not in its mapping\.txt"):
        load(f"idx:{tmp_path}")


def test_of_several_idx_sets_in_a_folder_one_is_named(tmp_path):
    for name in ("emnist-digits", "emnist-letters"):
        write_emnist(tmp_path, name, LABELS)
    with pytest.raises(UserError, match=r"has the sets emnist-digits, emnist-letters; name one, as in idx:"):
        load(f"idx:{tmp_path}")
    assert load(f"idx:{tmp_path}/emnist-digits").name == "emnist-digits"
    with pytest.raises(UserError, match="there is no such folder"):
        load(f"idx:{tmp_path}/emnist")


def test_kuzushiji_mnist_is_four_files(tmp_path):
    arrays = {"train-imgs": IMAGES, "train-labels": LABELS, "test-imgs": IMAGES[:2], "test-labels": LABELS[:2]}
    for name, array in arrays.items():
        np.savez(tmp_path / f"kmnist-{name}.npz", array)
    dataset = load(f"npz:{tmp_path}/kmnist-train-imgs.npz")
    np.testing.assert_array_equal(dataset.images[..., 0], IMAGES)
    np.testing.assert_array_equal(dataset.test_images[..., 0], IMAGES[:2])
    assert dataset.name == "kmnist"
    (tmp_path / "kmnist-test-labels.npz").unlink()
    with pytest.raises(UserError, match=r"kmnist-test-labels\.npz is not beside it; save images and labels by their"):
        load(f"npz:{tmp_path}/kmnist-train-imgs.npz")
    with pytest.raises(UserError, match="has one array without a name; save images and labels by their names"):
        load(f"npz:{tmp_path}/kmnist-train-labels.npz")


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_kind_without_a_colon_is_a_name_and_one_without_a_path_is_refused(kind, tmp_path, monkeypatch):
    write_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"--dataset={kind}: there is no file or folder of this name here"):
        load(kind)
    with pytest.raises(UserError, match=f"--dataset={kind}:: names nothing; give {kind}:PATH"):
        load(f"{kind}:")
    write_images(tmp_path / kind)
    assert load(kind).name == kind
