"""What a call from Python may be given: frames, series, tensors, lists; and what is refused."""

import re

import numpy as np
import pandas as pd
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
    assert found.notes == read.notes == ("column colour has 3 categories: blue, green, red",)


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
    polars = pytest.importorskip("polars")
    dataset = dataset_of_call(polars.DataFrame({"a": VALUES[:, 0]}), polars.Series("label", LABELS))
    np.testing.assert_array_equal(dataset.features[:, 0], VALUES[:, 0])
    assert names_of(dataset) == LABELS.tolist()


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        ([[1, 2], [3]], [0, 1], "images: are no array"),
        (np.array([["a"], ["b"]], object), [0, 1], "images: hold what is no number, or is missing"),
        (VALUES, ["a", 1, None] * 4, "labels: hold values of several types (NoneType, int, str); give texts or"),
        (VALUES, pd.Series([*LABELS[:5], None, *LABELS[6:]]), "labels: row 6 has none; fill it or drop the row"),
        (FRAME.assign(label=LABELS), pd.Series(LABELS, name="label"), "images: have the labels as their column label"),
        (FRAME, pd.Series(LABELS, index=range(1, 13)), "labels: have another index than the images"),
        (FRAME.assign(a=[None, *VALUES[1:, 0]]), LABELS, "images: column a, row 1: has no value (1 of 12 are missing)"),
        (
            FRAME.assign(a=[f"tree {i}" for i in range(12)]),
            LABELS,
            "images: column a: has 12 different texts in 12 rows",
        ),
        (FRAME.assign(a=[[1, 2]] * 12), LABELS, "images: column a: is of type list"),
        (None, LABELS, "images: are of type object"),
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
