"""Data as people have it, typed as a user would: what is said of it, and what is refused."""

import numpy as np
import pytest

from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from support.cases import DRAWN, NOISE, write_cases
from support.commands import type_in

ROWS = "60 rows of 4 numbers, each column standardized; 3 classes of 20 each"
NAMED = "names the rows, and is no feature (--id_column=none makes it one)"
THREE = "3 classes of 12 each"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_cases(tmp_path_factory.mktemp("cases"))


def load(cases, name, **flags):
    return load_dataset(DataSpec(dataset=str(cases / name), **flags))


READ = {
    "clean.csv": [ROWS],
    "unnamed_index.csv": [ROWS, f"the column without a name {NAMED}"],
    "index_Id.csv": [ROWS, f"column Id {NAMED}"],
    "index_ID.csv": [ROWS, f"column ID {NAMED}"],
    "index_rownames.csv": [ROWS, f"column rownames {NAMED}"],
    "index_index.csv": [ROWS, f"column index {NAMED}"],
    "float_labels.csv": [ROWS],
    "bool_labels.csv": ["2 classes: False (20), True (40)"],
    "missing_values.csv --impute=mean": [
        ROWS,
        "values are missing in b (2)",
        "2 missing values in 1 column: each filled with the mean of its column over the training examples",
    ],
    "categories.csv": [
        "60 rows of 7 numbers",
        "columns: 4 of numbers, 1 of categories",
        "column colour has 3 categories: blue, green, red",
    ],
    "semicolons.csv": [ROWS, "its columns are separated by semicolons"],
    "tabs.tsv": [ROWS, "its columns are separated by tabs"],
    "utf16.csv": [ROWS, "its text is utf-16"],
    "table.parquet": [ROWS],
    "numbered_classes.csv": [ROWS],
    "./numbered": [THREE],
    "./plain": ["36 images of 24x24x1", THREE],
    "./formats": ["36 images of 24x24x3", THREE],
    "./nested": ["36 images of 24x24x1", "lie in folders below"],
    "./hidden": ["36 images of 24x24x1", "left out of c0: 1 hidden file", "left out of c1: 1 hidden file"],
    "./three_splits": ["12 images of 24x24x1", "12 for testing", "validation"],
    "./training_testing": ["18 images of 24x24x1", "18 for testing"],
    "./exif": ["36 images of 24x24x1", "upright"],
    "./alpha": ["36 images of 24x24x3", "on white"],
    "./palette --image_size=20": ["36 images of 20x20x3"],
    "small_range_uint8.npz": ["bytes go up to 16 only, which was taken for white"],
    "small_range_int64.npz": ["values from 0 to 16, scaled to 0 to 1"],
    "mask_uint8.npz": ["bytes go up to 1 only, which was taken for white"],
    "mask_bool.npz": ["values from 0 to 1"],
    "keras.npz": ["x_train as images, y_train as labels, x_test as test images", "100 for testing"],
    "medmnist.npz": ["train_images as images, train_labels as labels", "not read: val_images, val_labels"],
    "one_hot.npz": ["labels are one-hot, of 10 classes"],
    "channels_first.npz": ["300 images of 8x8x3", "have their channels first, which were moved to the end"],
    "slightly_above_one.npz": ["values from 0 to 1;", "100 for testing"],
}


@pytest.mark.parametrize("typed", READ)
def test_what_is_read_is_said_first(cases, typed):
    name, *flags = typed.split()
    # Of a job that has no runs yet; nothing is compiled.
    result = type_in(cases, f"--dataset={name}", *flags, "--aggregate_only", "--subset_ratios=0.5", "--out=out")
    assert result.returncode == 1, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("read ")]
    assert result.stderr.startswith("read ")
    for said in READ[typed]:
        assert any(said in line for line in lines), lines


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((f"missing_label_{name}.csv", "line 5 has no label") for name in ("NA", "nan", "question", "NULL", "empty")),
        ("missing_values.csv", "column b, line 7: has no value (2 of 60 are missing); fill it, give --impute=median"),
        ("./empty", "empty_class"),
        ("clean.csv --impute=mode", "--impute=mode"),
        ("small_range_uint8.npz --impute=mean", "--impute=mean: is for rows of features"),
        ("./plain --impute=mean", "--impute=mean: goes with npz:PATH or csv:PATH or parquet:PATH"),
    ],
)
def test_what_cannot_be_read_right_is_refused_in_a_line(cases, name, said):
    dataset, *flags = name.split()
    result = type_in(cases, f"--dataset={dataset}", *flags, log_compiles=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name in READ if name.startswith(("index", "unnamed", "float", "tabs"))])
def test_tables_of_the_same_rows_are_the_same_data(cases, name):
    dataset, clean = load(cases, name), load(cases, "clean.csv")
    np.testing.assert_allclose(dataset.features, NOISE[list("abcd")], rtol=1e-14)
    assert (dataset.fingerprint, dataset.class_names) == (clean.fingerprint, ("0", "1", "2"))
    np.testing.assert_array_equal(dataset.ids, clean.ids)


def sorted_by_id(dataset):
    """Images and classes by the number in the name of each file."""
    numbers = [int(str(name).split("/")[-1].split(".")[0]) for name in dataset.ids]
    order = np.argsort(numbers)
    assert np.array_equal(np.array(numbers)[order], DRAWN)
    return dataset.images[order], np.array(dataset.class_names)[dataset.labels[order]]


@pytest.mark.parametrize("name", ["formats", "nested", "hidden"])
def test_folders_of_the_same_pictures_are_the_same_data(cases, name):
    images, classes = sorted_by_id(load(cases, name))
    plain_images, plain_classes = sorted_by_id(load(cases, "plain"))
    # WebP has no grey: its pictures have three equal channels, and so all have.
    np.testing.assert_array_equal(images, plain_images + 0 * images)
    np.testing.assert_array_equal(classes, plain_classes)


def test_pictures_stand_upright(cases):
    upright, plain = (sorted_by_id(load(cases, name))[0].astype(int) for name in ("exif", "plain"))
    assert np.abs(upright - plain).mean() < 3


def test_palettes_are_colours_before_they_are_resized(cases):
    resized = [load(cases, name, image_size=20).images for name in ("palette", "palette_as_rgb")]
    np.testing.assert_array_equal(*resized)


@pytest.mark.parametrize("name", ["numbered_classes.csv", "numbered"])
def test_classes_are_in_the_order_of_their_numbers(cases, name):
    assert load(cases, name).class_names == ("9", "10", "100")


@pytest.mark.parametrize("kind", ["small_range", "mask"])
def test_bytes_of_a_small_range_are_the_numbers_they_stand_for(cases, kind):
    parts = (f"{kind}_uint8.npz", "mask_bool.npz" if kind == "mask" else "small_range_int64.npz")
    bytes_, numbers = (load(cases, name) for name in parts)
    np.testing.assert_allclose(bytes_.images * bytes_.scale, numbers.images * numbers.scale, rtol=1e-6)
