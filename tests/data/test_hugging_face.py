"""Data sets of Hugging Face, on disk and from Python; and what is refused."""

import re
import socket

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jaxgen import UserError
from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data.python_arrays import dataset_of_call
from support.commands import type_in

datasets.disable_progress_bars()

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (12, 6, 6), dtype=np.uint8)
VALUES = RNG.normal(size=(12, 3))
CODES = np.arange(12) % 3
NAMES = ["oak", "elm", "ash"]


def pictures(rows=slice(None), label=None):
    columns = {"image": [Image.fromarray(pixels) for pixels in PIXELS[rows]], "label": CODES[rows].tolist()}
    if label is not None:
        columns["label"] = label
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    return datasets.Dataset.from_dict(columns, features=features)


def two_pictures():
    rows = {name: pictures().with_format(None)[:]["image"] for name in ("image", "second")}
    features = datasets.Features({**pictures().features, "second": datasets.Image()})
    return datasets.Dataset.from_dict({**rows, "label": CODES.tolist()}, features=features)


def numbers(**more):
    return datasets.Dataset.from_dict(
        {"a": VALUES[:, 0], "b": VALUES[:, 1], "label": [NAMES[code] for code in CODES], **more}
    )


def load(path, **flags):
    return load_dataset(DataSpec(dataset=str(path), **flags))


def names_of(dataset):
    return [dataset.class_names[label] for label in dataset.labels]


def test_pictures_and_class_names_are_read(tmp_path):
    pictures().save_to_disk(tmp_path / "trees")
    for name in (f"hf:{tmp_path}/trees", f"{tmp_path}/trees"):
        dataset = load(name)
        np.testing.assert_array_equal(dataset.images[..., 0], PIXELS)
        assert dataset.class_names == tuple(NAMES)
        assert names_of(dataset) == [NAMES[code] for code in CODES]
        assert (dataset.name, dataset.test_labels, dataset.notes) == ("trees", None, ())
    resized = load(f"hf:{tmp_path}/trees", image_size=3)
    assert resized.images.shape == (12, 3, 3, 1)


def test_rows_are_read_in_the_order_they_were_given_not_that_of_the_file(tmp_path):
    pictures().shuffle(seed=1).save_to_disk(tmp_path / "trees")
    dataset = load(tmp_path / "trees")
    places = [int(np.flatnonzero((image[..., 0] == PIXELS).all((1, 2)))[0]) for image in dataset.images]
    assert sorted(places) == [*range(12)] != places
    np.testing.assert_array_equal(dataset.labels, CODES[places])
    selected = dataset_of_call(pictures().select([7, 2, 0]))
    np.testing.assert_array_equal(selected.images[..., 0], PIXELS[[7, 2, 0]])
    np.testing.assert_array_equal(selected.labels, CODES[[7, 2, 0]])


@pytest.mark.parametrize(
    ("splits", "tests", "notes"),
    [
        ({"train": slice(6), "test": slice(6, 12)}, 6, ["split train is for training, test for testing"]),
        ({"train": slice(6), "validation": slice(6, 9)}, 3, ["split train is for training, validation for testing"]),
        (
            {"train": slice(6), "validation": slice(6, 9), "test": slice(9, 12), "extra": slice(0, 2)},
            3,
            ["split train is for training, test for testing", "not read: validation (3 rows), extra (2 rows)"],
        ),
        ({"all": slice(12)}, 0, []),
    ],
)
def test_splits_are_told_apart_by_name(tmp_path, splits, tests, notes):
    datasets.DatasetDict({name: pictures(rows) for name, rows in splits.items()}).save_to_disk(tmp_path / "trees")
    dataset = load(tmp_path / "trees")
    assert list(dataset.notes) == notes
    assert (0 if dataset.test_labels is None else len(dataset.test_labels)) == tests


def test_a_test_split_without_labels_is_left_out_and_told(tmp_path):
    splits = {"train": pictures(), "test": pictures(slice(4), [-1] * 4)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "trees")
    dataset = load(tmp_path / "trees")
    assert dataset.test_labels is None
    assert "the 4 rows for testing have no labels, and are not read" in dataset.notes


def test_rows_of_numbers_are_read_as_tables_are(tmp_path):
    given = numbers(big=[True, False] * 6, kind=["x", "y", "x"] * 4, id=[f"t{i}" for i in range(12)])
    given.save_to_disk(tmp_path / "rows")
    given.to_parquet(tmp_path / "rows.parquet")
    saved, table, called = load(tmp_path / "rows"), load(tmp_path / "rows.parquet"), dataset_of_call(given)
    assert saved.fingerprint == table.fingerprint == called.fingerprint
    assert saved.notes == table.notes == called.notes
    assert saved.ids.tolist() == called.ids.tolist() == [f"t{i}" for i in range(12)]


def test_lists_of_numbers_are_so_many_columns(tmp_path):
    given = numbers(embedding=VALUES.tolist())
    given.save_to_disk(tmp_path / "rows")
    given.to_parquet(tmp_path / "rows.parquet")
    for dataset in (load(tmp_path / "rows"), load(tmp_path / "rows.parquet"), dataset_of_call(given)):
        np.testing.assert_array_equal(dataset.features, np.column_stack([VALUES[:, :2], VALUES]))
        assert dataset.notes == ("columns: 2 of numbers, 1 of lists of numbers",)
    for lists, said in (
        ([[1.0]] * 11 + [[1.0, 2.0]], "column embedding: has lists of several lengths"),
        ([["x"]] * 12, "column embedding: has lists of the type string"),
        ([[None]] * 12, "column embedding: has lists "),
        ([[]] * 12, "column embedding: has lists "),
    ):
        with pytest.raises(UserError, match=said):
            dataset_of_call(numbers(embedding=lists))


def test_the_label_is_the_column_of_that_type_unless_named():
    given = pictures().rename_column("label", "species").add_column("size", list(range(12)))
    dataset = dataset_of_call(given)
    assert names_of(dataset) == [NAMES[code] for code in CODES]
    assert dataset.notes == ("column species is the label (labels names another)", "not read: size")
    assert dataset_of_call(given, "size").num_classes == 12
    with pytest.raises(UserError, match="labels=label: images has the columns image, a"):
        dataset_of_call(given.remove_columns(["species"]).rename_column("size", "a"))


def test_test_examples_may_be_given():
    dataset = dataset_of_call(pictures(), test_images=pictures(slice(3, 9)))
    np.testing.assert_array_equal(dataset.test_images[..., 0], PIXELS[3:9])
    assert dataset.test_labels.tolist() == CODES[3:9].tolist()


def test_its_columns_are_images_and_labels():
    given = pictures()
    dataset = dataset_of_call(given["image"], given["label"], class_names=NAMES)
    assert dataset.fingerprint == dataset_of_call(given).fingerprint


def test_classes_of_the_test_split_go_by_their_names():
    given = numbers().cast_column("label", datasets.ClassLabel(names=NAMES))
    turned = numbers().cast_column("label", datasets.ClassLabel(names=NAMES[::-1]))
    for tests in (turned, numbers()):
        dataset = dataset_of_call(given, test_images=tests)
        assert dataset.class_names == tuple(NAMES)
        assert dataset.test_labels.tolist() == CODES.tolist()
    assert dataset_of_call(numbers(), test_images=turned).test_labels.tolist() == [2, 1, 0] * 4
    other = numbers().cast_column("label", datasets.ClassLabel(names=[*NAMES, "yew"]))
    other = other.map(lambda row, place: {"label": 3 if place == 5 else row["label"]}, with_indices=True)
    with pytest.raises(UserError, match="images: test split: the label yew is no class of the training split"):
        dataset_of_call(given, test_images=other)


def test_feature_columns_of_classes_are_categories():
    colours = datasets.ClassLabel(names=["red", "green"])
    given = numbers(colour=[0, 1, -1] * 4).cast_column("colour", colours)
    dataset = dataset_of_call(given, spec=DataSpec(impute="mean"))
    np.testing.assert_array_equal(dataset.features[:, 2:], np.tile([[0, 0, 1], [0, 1, 0], [1, 0, 0]], (4, 1)))
    assert "column colour has 3 categories: (missing), green, red" in dataset.notes
    with pytest.raises(UserError, match="column colour, row 3: has no value"):
        dataset_of_call(given)


def test_the_columns_of_a_format_are_those_that_are_read():
    given = numbers()
    shown = given.with_format("numpy", columns=["a", "label"])
    np.testing.assert_array_equal(dataset_of_call(shown).features, VALUES[:, :1])
    given.set_transform(lambda rows: {"a": [0.0] * len(rows["a"]), "label": rows["label"]})
    with pytest.raises(UserError, match=r"images: has a transform \(set_transform\), which is not applied"):
        dataset_of_call(given)


def test_an_index_of_pandas_that_repeats_is_no_feature():
    frame = pd.DataFrame(VALUES[:, :2], columns=["a", "b"]).assign(label=[NAMES[code] for code in CODES])
    given = datasets.Dataset.from_pandas(frame.iloc[[0, 0, *range(2, 12)]])
    dataset = dataset_of_call(given)
    assert dataset.features.shape == (12, 2)
    assert dataset.notes == (
        "column __index_level_0__ is an index, and is not read (--id_column=none makes it a feature)",
    )


def test_arrays_of_two_axes_are_pictures():
    for feature in (datasets.Array2D((6, 6), "uint8"), datasets.List(datasets.List(datasets.Value("uint8")))):
        features = datasets.Features({"pixels": feature, "label": datasets.ClassLabel(names=NAMES)})
        rows = {"pixels": PIXELS.tolist(), "label": CODES.tolist()}
        dataset = dataset_of_call(datasets.Dataset.from_dict(rows, features=features))
        np.testing.assert_array_equal(dataset.images[..., 0] * dataset.spread + dataset.shift, PIXELS)


def test_pictures_are_opened_as_they_were_stored(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    tall = Image.fromarray(np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6))
    for i in range(4):
        tall.save(tmp_path / f"{i}.jpg", exif=exif, quality=95)
    files = [str(tmp_path / f"{i}.jpg") for i in range(4)]
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("int64")})
    given = datasets.Dataset.from_dict({"image": files, "label": [0, 1] * 2}, features=features)
    dataset = dataset_of_call(given)
    assert dataset.images.shape == (4, 6, 4, 1)
    assert dataset.notes == ("4 of 4 pictures were turned upright, by the orientation in their EXIF data",)
    small = dataset_of_call(given, spec=DataSpec(image_size=3))
    assert small.images.shape == (4, 3, 3, 1)
    assert "4 of 4 pictures were not square, and were stretched to one size" in small.notes


def test_an_empty_split_for_testing_is_told():
    dataset = dataset_of_call(pictures(), test_images=pictures(slice(0)))
    assert (dataset.test_labels, dataset.notes) == (None, ("the split for testing is empty",))


@pytest.mark.parametrize("tests", [VALUES, datasets.DatasetDict({"test": numbers()}), numbers().to_iterable_dataset()])
def test_test_examples_of_another_kind_are_refused_in_a_line(tests):
    with pytest.raises(UserError) as raised:
        dataset_of_call(numbers(), test_images=tests)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((datasets.DatasetDict({"train": pictures()}),), 'give one, such as images=data["train"]'),
        ((pictures().to_iterable_dataset(),), "images: are streamed; load the data set as a whole"),
        ((pictures(), CODES), "labels: the images are a data set that has them in its columns; name their column"),
        ((pictures(label=[-1, *CODES[1:]]),), "images: row 1 has no label; fill it or drop the row"),
        ((pictures(label=[None, *CODES[1:]]),), "images: row 1 has no label; fill it or drop the row"),
        ((two_pictures(),), "images: has pictures in the columns image, second; name one by --image_column"),
        ((numbers(a2=[None, *VALUES[1:, 0]]),), "images: column a2, row 1: has no value"),
    ],
)
def test_what_cannot_be_read_is_one_line(arguments, said):
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        dataset_of_call(*arguments)
    assert "\n" not in str(raised.value)


def test_a_missing_picture_is_named_by_its_row():
    given = pictures().to_list()
    features = pictures().features
    given[4]["image"] = None
    with pytest.raises(UserError, match="images: row 5 has no image; drop it"):
        dataset_of_call(datasets.Dataset.from_list(given, features=features))


def test_a_hub_that_does_not_answer_is_one_line_and_soon(tmp_path, monkeypatch):
    asked = []

    def refuse(address, *arguments, **options):
        asked.append(address)
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(UserError, match="the hub does not answer: go online once, or give a folder") as raised:
        load("hf:nobody/nothing")
    assert "\n" not in str(raised.value)
    assert len(asked) == 1
    with pytest.raises(UserError, match="it is fetched only if the flag is given"):
        load_dataset(DataSpec(dataset="hf:nobody/nothing"), fetch=False)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("hf:mine.csv", "is a file; give the folder that save_to_disk wrote"), ("hf:folder", "cannot be read")],
)
def test_what_is_no_data_set_is_refused_in_a_line(tmp_path, name, said):
    (tmp_path / "mine.csv").write_text("a,label\n1,2\n")
    (tmp_path / "folder").mkdir()
    result = type_in(tmp_path, f"--dataset={name}")
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape("needs the package datasets; pip install -e '.[hf]'")):
        load(f"hf:{tmp_path}")


@pytest.mark.parametrize("column", ["label", "kind"])
def test_numbers_of_classes_that_have_no_name_are_refused(column):
    kinds = datasets.ClassLabel(names=["x", "y"])
    features = datasets.Features({"a": datasets.Value("float64"), "label": kinds, "kind": kinds})
    codes = {name: [0, 5 if name == column else 1] * 6 for name in ("label", "kind")}
    stored = datasets.table.InMemoryTable.from_pydict({"a": VALUES[:, 0], **codes})
    given = datasets.Dataset(stored, info=datasets.DatasetInfo(features=features))
    with pytest.raises(UserError, match=f"column {column}, row 2: is the number 5 of 2 classes, which count from 0"):
        dataset_of_call(given)


def test_labels_that_white_space_alone_tells_apart_are_told():
    dataset = dataset_of_call(datasets.Dataset.from_dict({"a": VALUES[:, 0], "label": ["x", "x ", "y"] * 4}))
    assert names_of(dataset) == ["x", "x", "y"] * 4
    said = "white space around 4 labels is left out: spellings that differ by it alone are one class (x)"
    assert dataset.notes == (said,)
