"""What a call from Python may be given: frames, series, tensors, lists; and what is refused."""

import re

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from PIL import Image

from jaxgen import UserError
from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data.python_arrays import dataset_of_call

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(12, 3)).round(6)
FRAME = pd.DataFrame(VALUES, columns=list("abc"))
LABELS = np.array(["oak", "elm", "ash"] * 4)


def names_of(dataset):
    return [dataset.class_names[label] for label in dataset.labels]


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.tolist(),
        LABELS.astype(object),
        pd.Series(LABELS),
        pd.Series(LABELS, dtype=object),
        pd.Series(LABELS, dtype="string"),
        pd.Series(LABELS, dtype="category"),
    ],
)
def test_texts_of_any_kind_are_labels(labels):
    dataset = dataset_of_call(FRAME, labels)
    assert names_of(dataset) == LABELS.tolist()
    np.testing.assert_array_equal(dataset.features, VALUES)


@pytest.mark.parametrize("kind", ["int64", "Int64", "float64", "bool", "boolean", "category", object])
def test_numbers_of_any_kind_are_labels(kind):
    values = pd.Series(np.arange(12) % 2)
    dataset = dataset_of_call(VALUES, values.astype("int64" if kind is object else kind).astype(kind))
    assert dataset.labels.tolist() == (np.arange(12) % 2).tolist()


def test_a_frame_is_read_as_the_same_table_in_a_file_is(tmp_path):
    frame = FRAME.assign(big=[True, False] * 6, colour=pd.Categorical(["red", "blue", "green"] * 4))
    frame = frame.assign(count=pd.array(range(1, 13), dtype="Int64") * 3)
    found = dataset_of_call(frame, pd.Series(LABELS, name="label"))
    frame.assign(label=LABELS).to_parquet(tmp_path / "mine.parquet")
    read = load_dataset(DataSpec(dataset=str(tmp_path / "mine.parquet")))
    assert found.fingerprint == read.fingerprint
    assert found.notes == read.notes
    assert found.notes == (
        "columns: 4 of numbers, 1 of true or false, 1 of categories",
        "column colour has 3 categories: blue, green, red",
    )


def test_a_frame_of_test_examples_has_the_same_categories():
    train = FRAME.assign(colour=["red", "blue", "green"] * 4)
    tests = FRAME[:4].assign(colour=["green"] * 4)
    dataset = dataset_of_call(train, LABELS, test_images=tests, test_labels=LABELS[:4])
    np.testing.assert_array_equal(dataset.test_features[:, 3:], [[0, 1, 0]] * 4)
    with pytest.raises(UserError, match="test images: have the columns a, b; needed: a, b, c"):
        dataset_of_call(FRAME, LABELS, test_images=FRAME[["a", "b"]], test_labels=LABELS)
    with pytest.raises(UserError, match="test images: are no frame"):
        dataset_of_call(FRAME, LABELS, test_images=VALUES, test_labels=LABELS)


def test_an_index_is_the_ids_unless_it_counts_rows():
    names = [f"tree {i}" for i in range(12)]
    assert dataset_of_call(FRAME.set_index(pd.Index(names)), LABELS).ids.tolist() == names
    assert dataset_of_call(FRAME, LABELS, ids=pd.Index(names)).ids.tolist() == names
    assert dataset_of_call(FRAME.set_index(pd.Index(range(5, 17))), LABELS).ids.tolist() == [*range(5, 17)]
    assert dataset_of_call(FRAME, LABELS).ids.tolist() == [*range(12)]


class Tensor:
    """As those of PyTorch: with a gradient NumPy takes none."""

    dtype = "torch.float32"

    def __init__(self, values, free=False):
        self.values, self.free = values, free

    def detach(self):
        return Tensor(self.values, True)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if not self.free:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.values)


def test_tensors_lists_and_small_floats_are_arrays():
    expected = dataset_of_call(VALUES, LABELS).fingerprint
    assert dataset_of_call(Tensor(VALUES), LABELS).fingerprint == expected
    assert dataset_of_call(VALUES.tolist(), LABELS).fingerprint == expected
    assert dataset_of_call(VALUES.astype(object), LABELS).fingerprint == expected


def test_tensors_of_pytorch_are_taken():
    torch = pytest.importorskip("torch")
    for values in (torch.tensor(VALUES, requires_grad=True), torch.tensor(VALUES).to(torch.bfloat16)):
        dataset = dataset_of_call(values, torch.arange(12) % 3)
        np.testing.assert_allclose(dataset.features, VALUES, rtol=0.01)


def test_frames_of_polars_are_taken():
    dataset = dataset_of_call(polars.DataFrame({"a": VALUES[:, 0]}), polars.Series("label", LABELS))
    np.testing.assert_array_equal(dataset.features[:, 0], VALUES[:, 0])
    assert names_of(dataset) == LABELS.tolist()


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        ([[1, 2], [3]], [0, 1], "images: are no array"),
        (np.array([["a"], ["b"]], object), [0, 1], "images: hold what is no number, or is missing"),
        (VALUES, ["a", 1, 2] * 4, "labels: hold values of several types (int, str); give texts or"),
        (VALUES, [1, "1"] * 6, "labels: hold values of several types (int, str); give texts or"),
        (VALUES, ["a", None, "b"] * 4, "labels: example 1 has none; drop it"),
        (VALUES, ["a", float("nan")] * 6, "labels: example 1 has none; drop it"),
        (VALUES, ["", "a"] * 6, "labels: example 0 has none"),
        (VALUES, [2.0**63, -1] * 6, "labels: hold floats of 9.22337e+18, which are not exact"),
        (VALUES, [2**70, 1] * 6, "labels: hold floats of 1.18059e+21, which are not exact"),
        (np.ma.masked_array(VALUES, VALUES > 1), LABELS, "are masked; fill or drop them"),
        (VALUES, np.ma.masked_array(np.arange(12) % 2, np.arange(12) == 3), "labels: 1 values are masked"),
        (
            pd.DataFrame(VALUES, columns=["a", "a", "b"]),
            LABELS,
            "images: 2 columns have the name a; give each column a name of its own",
        ),
        (pd.DataFrame(index=range(12)), LABELS, "images: have no columns"),
        (FRAME.assign(a=[2**70] * 12), LABELS, "images: cannot be read as a table"),
        (VALUES, pd.Series([*LABELS[:5], None, *LABELS[6:]]), "labels: index 5 has none; fill it or drop the row"),
        (FRAME.assign(label=LABELS), pd.Series(LABELS, name="label"), "images: have the labels as their column label"),
        (FRAME, pd.Series(LABELS, index=range(1, 13)), "labels: have another index than the images"),
        (
            FRAME.assign(a=[None, *VALUES[1:, 0]]),
            LABELS,
            "images: column a, index 0: has no value (1 of 12 are missing)",
        ),
        (
            FRAME.assign(a=[f"tree {i}" for i in range(12)]),
            LABELS,
            "images: column a: has 12 different texts in 12 rows",
        ),
        (
            FRAME.assign(a=[[1, 2]] * 11 + [[1]]),
            LABELS,
            "images: column a: has lists of several lengths; give all one length",
        ),
        (FRAME.assign(a=[{"b": 1}] * 12), LABELS, "images: column a: is of type struct"),
        (None, LABELS, "images: are of type object"),
        ("clean.csv", "label", "images: are the text 'clean.csv'; read the file first, as by pandas.read_csv, or type"),
        (VALUES, np.array([0, 1, np.nan] * 4), "labels: example 2 has none ('nan'); fill or drop it"),
    ],
)
def test_what_cannot_be_taken_is_one_line(images, labels, said):
    with pytest.raises(UserError, match=re.escape(said)) as raised:
        dataset_of_call(images, labels)
    assert "\n" not in str(raised.value)


def test_the_same_table_is_the_same_data_by_every_door(tmp_path):
    codes = np.arange(12) % 3
    FRAME.assign(label=codes).to_csv(tmp_path / "mine.csv", index=False)
    FRAME.assign(label=codes).to_csv(tmp_path / "mine.tsv", sep="\t")
    FRAME.assign(label=codes).to_parquet(tmp_path / "mine.parquet")
    np.savez(tmp_path / "mine.npz", x=VALUES, y=np.eye(3)[codes])
    files = [tmp_path / f"mine.{suffix}" for suffix in ("csv", "tsv", "parquet", "npz")]
    doors = [load_dataset(DataSpec(dataset=str(file))) for file in files]
    doors += [
        dataset_of_call(VALUES, codes),
        dataset_of_call(FRAME, pd.Series(codes)),
        dataset_of_call(Tensor(VALUES), codes),
    ]
    assert len({dataset.fingerprint for dataset in doors}) == 1


def test_the_same_images_are_the_same_data_by_every_door(tmp_path):
    codes, images = np.arange(12) // 6, RNG.integers(0, 256, (12, 5, 4)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=codes)
    np.savez(tmp_path / "keras.npz", x_train=images, y_train=codes[:, None])
    for i, image in enumerate(images):
        for suffix in ("png", "bmp", "tiff"):
            path = tmp_path / suffix / f"kind {codes[i]}" / f"{i:02d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    places = [tmp_path / name for name in ("mine.npz", "keras.npz", "png", "bmp", "tiff")]
    doors = [load_dataset(DataSpec(dataset=str(place))) for place in places]
    doors += [dataset_of_call(images, codes), dataset_of_call(images[..., None].tolist(), codes)]
    assert len({dataset.fingerprint for dataset in doors[:-1]}) == 1
    # A list does not tell that its numbers are bytes.
    np.testing.assert_allclose(doors[-1].images, images[..., None] / 255, atol=0.01)


def test_rows_are_paired_by_place_only_where_no_index_says_otherwise():
    series = pd.Series(np.arange(12) % 2)
    for more in (
        {"test_images": FRAME, "test_labels": series[::-1]},
        {"ids": pd.Series(LABELS, index=range(11, -1, -1))},
    ):
        with pytest.raises(UserError, match="have another index than the images"):
            dataset_of_call(FRAME, series, **more)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-01-01", periods=12),
        pd.Index(np.arange(12) / 2),
        pd.Index([1, 2] * 6),
        pd.MultiIndex.from_product([["x", "y"], range(6)]),
    ],
)
def test_an_index_that_cannot_be_ids_is_left_alone(index):
    dataset = dataset_of_call(FRAME.set_index(index), LABELS)
    assert dataset.ids.tolist() == [*range(12)]
    assert re.fullmatch(
        r"the index of the frame does not name the rows \((it is of type (float64|datetime64.*)|6 rows have 1|it has 2 "
        r"levels)\): ids are their positions",
        dataset.notes[0],
    )


def test_the_notes_tell_whose_ids_they_are():
    names = [f"tree {i}" for i in range(12)]
    frame = FRAME.assign(id=np.arange(12) * 7).set_index(pd.Index(names))
    dataset = dataset_of_call(frame, LABELS)
    assert (dataset.ids.tolist(), dataset.features.shape) == (names, (12, 3))
    told = "column id is not read, as the index of the frame names the rows (--id_column=none makes it a feature)"
    assert dataset.notes == (told,)
    asked = dataset_of_call(frame, LABELS, spec=DataSpec(id_column="id"))
    assert (asked.ids.tolist(), asked.features.shape, asked.notes) == ([*range(0, 84, 7)], (12, 3), ())
    kept = dataset_of_call(frame, LABELS, spec=DataSpec(id_column="none"))
    assert (kept.ids.tolist(), kept.features.shape, kept.notes) == (names, (12, 4), ())
    given = dataset_of_call(frame, LABELS, ids=np.arange(12) + 3)
    assert given.notes[0].startswith("column id is not read, as the given ids name the rows")


def test_categories_of_numbers_and_named_levels_are_columns():
    frame = FRAME.assign(kind=pd.Categorical([0, 1, 2] * 4))
    np.testing.assert_array_equal(dataset_of_call(frame, LABELS).features[:, 3:], np.tile(np.eye(3), (4, 1)))
    levels = pd.DataFrame(VALUES, columns=pd.MultiIndex.from_product([["a"], [0, 1, 2]]))
    np.testing.assert_array_equal(dataset_of_call(levels, LABELS).features, VALUES)


def test_a_column_of_ids_is_no_feature_and_told():
    frame = FRAME.assign(id=[f"tree {i}" for i in range(12)])
    dataset = dataset_of_call(frame, LABELS)
    np.testing.assert_array_equal(dataset.features, VALUES)
    assert dataset.ids.tolist() == frame.id.tolist()
    assert dataset.notes == ("column id names the rows, and is no feature (--id_column=none makes it one)",)
    called = dataset_of_call(frame.rename(columns={"id": "tree"}), LABELS, spec=DataSpec(id_column="tree"))
    assert called.fingerprint == dataset.fingerprint
    counted = dataset_of_call(FRAME.assign(n=range(12)), LABELS, spec=DataSpec(id_column="none"))
    assert counted.features.shape == (12, 4)
    with pytest.raises(UserError, match="column n counts the rows; give --id_column=n"):
        dataset_of_call(FRAME.assign(n=range(12)), LABELS)


def test_a_frame_may_hold_its_labels_in_a_column_of_any_name():
    for frame, name in ((FRAME.assign(kind=LABELS), "kind"), (FRAME.assign(**{"3": LABELS}), 3)):
        dataset = dataset_of_call(frame, name)
        np.testing.assert_array_equal(dataset.features, VALUES)
        assert names_of(dataset) == LABELS.tolist()
    numbered = pd.DataFrame({0: VALUES[:, 0], 1: LABELS})
    assert names_of(dataset_of_call(numbered, "1")) == LABELS.tolist()
    table = pyarrow.Table.from_pandas(FRAME.assign(kind=LABELS))
    np.testing.assert_array_equal(dataset_of_call(table, "kind").features, VALUES)
    with pytest.raises(UserError, match="labels: 'no' is no column: the images have the columns a, b, c, kind"):
        dataset_of_call(table, "no")


def test_lazy_frames_and_streams_are_refused():
    with pytest.raises(UserError, match=r"images: are a lazy frame; give what its collect\(\) returns"):
        dataset_of_call(polars.DataFrame({"a": VALUES[:, 0], "label": LABELS}).lazy(), "label")
    with pytest.raises(UserError, match="images: are a stream without a length"):
        dataset_of_call(iter(VALUES))


@pytest.mark.parametrize("missing", ["?", "NA", " "])
def test_missing_labels_are_spelled_as_in_files(missing):
    with pytest.raises(UserError, match="labels: example 3 has none"):
        dataset_of_call(VALUES, [*LABELS[:3], missing, *LABELS[4:]])
    assert dataset_of_call(VALUES, [" oak", *LABELS[1:]]).num_classes == 3


def test_dummies_name_their_classes_and_agree_in_width():
    dataset = dataset_of_call(VALUES, pd.get_dummies(pd.Series(LABELS)))
    assert names_of(dataset) == LABELS.tolist()
    tests = {"test_images": VALUES, "test_labels": np.eye(2)[np.arange(12) % 2]}
    with pytest.raises(UserError, match="labels have 3 columns, test labels 2; needed: one a class, in both"):
        dataset_of_call(VALUES, np.eye(3)[np.arange(12) % 3], **tests)


def test_objects_of_one_type_are_that_type():
    for labels in (
        np.array([np.int64(i % 2) for i in range(12)], object),
        np.array([i % 2 / 1 for i in range(12)], object),
    ):
        assert dataset_of_call(VALUES, labels).labels.tolist() == [0, 1] * 6


def test_opened_pictures_are_read_as_their_files_are():
    grey = RNG.integers(0, 256, (12, 5, 4)).astype(np.uint8)
    pictures = [Image.fromarray(picture) for picture in grey]
    np.testing.assert_array_equal(dataset_of_call(pictures, LABELS).images[..., 0], grey)
    colour = [picture.convert("RGB").convert("P") for picture in pictures]
    expected = np.stack([np.asarray(picture.convert("RGB")) for picture in colour])
    np.testing.assert_array_equal(dataset_of_call(colour, LABELS).images, expected)
    with pytest.raises(UserError, match="images: has pictures of several sizes; resize all to one"):
        dataset_of_call([*pictures[:11], pictures[0].resize((9, 9))], LABELS)


X = np.random.default_rng(1).random((12, 4, 4))
BYTES = (X * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "tests"),
    [
        (X * 255, X),
        (X * 2 - 1, X * 255),
        (BYTES // 128, BYTES),
        (BYTES // 16, BYTES),
        (BYTES, BYTES // 128),
        (X, X * 255),
    ],
)
def test_test_images_of_another_scale_are_refused(images, tests):
    with pytest.raises(UserError, match="bring them to one scale"):
        dataset_of_call(images, LABELS, test_images=tests, test_labels=LABELS)


def test_test_images_that_are_a_little_darker_or_lighter_are_taken():
    for images, tests in ((X, X * 0.7), (X * 255, X * 150 + 50), (BYTES, BYTES // 2), (X * 2 - 1, X)):
        assert dataset_of_call(images, LABELS, test_images=tests, test_labels=LABELS).test_images.shape == (12, 4, 4, 1)


def test_a_guess_about_channels_is_told():
    dataset = dataset_of_call(RNG.random((12, 3, 32, 4)), LABELS)
    assert dataset.notes == ("images of 3x32x4 are taken to have their channels last",)


@pytest.mark.parametrize("flag", ["whiten", "normalize_channels"])
def test_arrays_are_normalized_as_files_are(flag, tmp_path):
    images, labels = np.arange(4 * 5 * 5, dtype=np.uint8).reshape(4, 5, 5), [0, 1, 0, 1]
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    called = dataset_of_call(images, labels, spec=DataSpec(**{flag: True}))
    read = load_dataset(DataSpec(f"npz:{tmp_path}/mine.npz", **{flag: True}))
    assert (called.whiten, called.channel_moments) == (read.whiten, read.channel_moments)
    with pytest.raises(UserError, match=rf"--{flag}: is for images, and arrays has rows of features"):
        dataset_of_call(np.arange(8.0).reshape(4, 2), labels, spec=DataSpec(**{flag: True}))


def test_a_row_of_a_frame_is_named_by_its_index():
    frame = FRAME.set_index(pd.Index([f"s{row}" for row in range(12)]))
    labels = pd.Series(LABELS, index=frame.index)
    with pytest.raises(UserError, match="column b, index s3: has no value"):
        dataset_of_call(frame.assign(b=frame.b.where(frame.index != "s3")), labels)
    with pytest.raises(UserError, match="labels: index s3 has none"):
        dataset_of_call(frame, labels.where(frame.index != "s3"))
    tests = frame.assign(b=frame.b.where(frame.index != "s5"))
    with pytest.raises(UserError, match="column b, test index s5: has no value"):
        dataset_of_call(frame, labels, test_images=tests, test_labels=labels)


@pytest.mark.parametrize("make", [list, np.array, pd.Series, polars.Series])
def test_labels_that_white_space_alone_tells_apart_are_told(make):
    dataset = dataset_of_call(VALUES, make([*LABELS[:-1], f"{LABELS[-1]} "]))
    assert dataset.num_classes == 3
    said = "white space around 1 label is left out: spellings that differ by it alone are one class (ash)"
    assert dataset.notes == (said,)


def test_intervals_are_categories_by_their_texts():
    cut = pd.cut(FRAME.a, 3).rename(None)
    dataset = dataset_of_call(FRAME.assign(k=cut), LABELS)
    np.testing.assert_array_equal(dataset.features[:, 3:], pd.get_dummies(cut.astype(str)))
    assert names_of(dataset_of_call(FRAME, cut)) == cut.astype(str).tolist()
    assert names_of(dataset_of_call(FRAME.assign(k=cut), "k")) == cut.astype(str).tolist()
    lists = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1] * 6), pyarrow.array([[1], [2]]))
    with pytest.raises(UserError, match="column k: has categories of the type list<item: int64>; texts or numbers"):
        dataset_of_call(pyarrow.table({"a": VALUES[:, 0], "k": lists}), LABELS)


def test_the_index_of_a_frame_may_be_its_labels():
    frame = FRAME.set_index(pd.Index(LABELS, name="kind"))
    dataset = dataset_of_call(frame, "kind", test_images=frame)
    assert names_of(dataset) == LABELS.tolist()
    np.testing.assert_array_equal(dataset.test_labels, dataset.labels)
    levels = FRAME.set_index([pd.Index(LABELS, name="kind"), pd.Index(range(3, 15), name="tree")])
    assert dataset_of_call(levels, "kind").ids.tolist() == [*range(3, 15)]


@pytest.mark.parametrize("make", [polars.DataFrame, pd.DataFrame, pyarrow.table])
def test_a_column_without_a_name_is_read_as_in_a_file(make):
    columns = {"": [f"p{row}" for row in range(12)], "a": VALUES[:, 0], "label": LABELS.tolist()}
    dataset = dataset_of_call(make(columns), "label")
    assert (dataset.ids[3], dataset.features.shape) == ("p3", (12, 1))
    assert dataset.notes[0].startswith("the column without a name names the rows")
    numbers = make({**columns, "": np.arange(12) * 3})
    kept = dataset_of_call(numbers, "label", spec=DataSpec(id_column="none"))
    np.testing.assert_array_equal(kept.features[:, 0], np.arange(12) * 3)


def test_constant_columns_are_told():
    said = "2 columns with one value in all training examples, which tells nothing: "
    assert dataset_of_call(np.c_[VALUES, np.ones((12, 2))], LABELS).notes == (f"{said}4, 5",)
    assert dataset_of_call(FRAME.assign(d=1, e=2.0), LABELS).notes == (f"{said}d, e",)
