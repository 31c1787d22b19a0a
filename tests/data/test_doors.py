"""The same data by every door give the same scores, array for array."""

import os

import datasets
import numpy as np
import pandas as pd
import polars
import pytest
from PIL import Image

import jaxgen
from jaxgen import UserError
from jaxgen.config import CscoreSpec, DataSpec
from jaxgen.config.fields import spec_from_values
from jaxgen.data import load_dataset
from jaxgen.data.python_arrays import dataset_of_call
from jaxgen.experiments.cscore.run import score_settings

RNG = np.random.default_rng(0)
NAMES = np.array(["ash", "elm", "oak"])
# In the order in which a folder's pictures are read: by class, then by name.
CODES = np.repeat([0, 1, 2], 10)
PIXELS = RNG.integers(0, 255, (30, 6, 6), dtype=np.uint8)
VALUES = RNG.normal(size=(30, 4)).round(6) + CODES[:, None]
FRAME = pd.DataFrame(VALUES, columns=list("abcd"))
FLAGS = {"num_runs": 4, "subset_ratios": (0.5, 0.8), "epochs": 3, "hidden": (8,), "batch_size": 8}


class Pairs:
    """Examples one at a time, as data sets of PyTorch give them."""

    classes = NAMES.tolist()

    def __init__(self, images, labels=CODES):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])


def opened():
    return [Image.fromarray(pixels) for pixels in PIXELS]


def hugging_face(values, name):
    labels = datasets.ClassLabel(names=NAMES.tolist())
    kind = {"image": datasets.Image()} if name == "image" else dict.fromkeys(FRAME, datasets.Value("float64"))
    return datasets.Dataset.from_dict({**values, "label": CODES}, features=datasets.Features({**kind, "label": labels}))


def tensor(values):
    return pytest.importorskip("torch").tensor(values)


def write_pictures(folder):
    for i, pixels in enumerate(PIXELS):
        path = folder / "trees" / NAMES[CODES[i]] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return sorted((folder / "trees").rglob("*.png"))


def picture_files(folder):
    np.savez(folder / "mine.npz", images=PIXELS, labels=NAMES[CODES])
    np.savez(folder / "keras.npz", x_train=PIXELS[..., None], y_train=np.eye(3, dtype=int)[CODES])
    files = [path.relative_to(folder).as_posix() for path in write_pictures(folder)]
    pd.DataFrame({"path": files, "label": NAMES[CODES]}).to_csv(folder / "pictures.csv", index=False)


def table_files(folder):
    frame = FRAME.assign(label=NAMES[CODES])
    frame.to_csv(folder / "mine.csv", index=False)
    frame.to_csv(folder / "mine.tsv", sep="\t")
    frame.to_csv(folder / "commas.csv", sep=";", decimal=",", index=False, encoding="utf-16")
    frame.to_parquet(folder / "mine.parquet")
    np.savez(folder / "mine.npz", x=VALUES, y=NAMES[CODES])


def saved(folder, given):
    datasets.disable_progress_bars()
    given.save_to_disk(folder / "saved")
    return DataSpec(dataset=f"hf:{folder}/saved")


PICTURES = {
    "npz": lambda folder: DataSpec(dataset=f"npz:{folder}/mine.npz"),
    "keras": lambda folder: DataSpec(dataset=f"{folder}/keras.npz"),
    "folder": lambda folder: DataSpec(dataset=f"images:{folder}/trees"),
    "table of files": lambda folder: DataSpec(dataset=f"{folder}/pictures.csv", image_column="path"),
    "hf": lambda folder: saved(folder, hugging_face({"image": opened()}, "image")),
    "array": lambda folder: (PIXELS, CODES),
    "channels first": lambda folder: (PIXELS[:, None], CODES.tolist()),
    "opened pictures": lambda folder: (opened(), NAMES[CODES].tolist()),
    "pairs of pictures": lambda folder: (Pairs(opened()),),
    "pairs of arrays": lambda folder: (Pairs(PIXELS),),
    "hf, called": lambda folder: (hugging_face({"image": opened()}, "image"),),
    "hf, columns": lambda folder: tuple(
        hugging_face({"image": opened()}, "image")[name] for name in ("image", "label")
    ),
    "torch": lambda folder: (tensor(PIXELS), tensor(CODES)),
    "torch, pairs": lambda folder: (Pairs(tensor(PIXELS), tensor(CODES)),),
}
ROWS = {
    "npz": lambda folder: DataSpec(dataset=f"npz:{folder}/mine.npz"),
    "csv": lambda folder: DataSpec(dataset=f"csv:{folder}/mine.csv"),
    "tsv": lambda folder: DataSpec(dataset=f"{folder}/mine.tsv"),
    "csv of commas": lambda folder: DataSpec(dataset=f"{folder}/commas.csv"),
    "parquet": lambda folder: DataSpec(dataset=f"{folder}/mine.parquet"),
    "hf": lambda folder: saved(folder, hugging_face(FRAME.to_dict("list"), "rows")),
    "array": lambda folder: (VALUES, CODES),
    "lists": lambda folder: (VALUES.tolist(), NAMES[CODES].tolist()),
    "pandas": lambda folder: (FRAME, pd.Series(NAMES[CODES], dtype="category")),
    "pandas, a column": lambda folder: (FRAME.assign(kind=NAMES[CODES]), "kind"),
    "polars": lambda folder: (polars.DataFrame(FRAME.assign(kind=NAMES[CODES])), "kind"),
    "hf, called": lambda folder: (hugging_face(FRAME.to_dict("list"), "rows"),),
    "pairs": lambda folder: (Pairs(VALUES),),
    "torch": lambda folder: (tensor(VALUES).requires_grad_(), tensor(CODES)),
    "torch, pairs": lambda folder: (Pairs(tensor(VALUES), tensor(CODES)),),
}


def scores_of(data, out):
    dataset = load_dataset(data) if isinstance(data, DataSpec) else dataset_of_call(*data)
    [(_, scores)] = score_settings(dataset, spec_from_values(CscoreSpec, {**FLAGS, "out": str(out)}))
    return scores


@pytest.fixture(scope="module", params=["pictures", "rows"])
def expected(request, tmp_path_factory):
    """The doors of a kind of data, the folder with the files, and the scores by the first door."""
    folder = tmp_path_factory.mktemp(request.param)
    doors, write = {"pictures": (PICTURES, picture_files), "rows": (ROWS, table_files)}[request.param]
    write(folder)
    return doors, folder, scores_of(doors["npz"](folder), folder / "npz_out")


@pytest.mark.parametrize("door", dict.fromkeys([*PICTURES, *ROWS]))
def test_the_same_data_by_every_door_have_the_same_scores(expected, tmp_path, door):
    doors, folder, scores = expected
    if door not in doors:
        pytest.skip("no door of this kind of data")
    found = scores_of(doors[door](folder), tmp_path)
    for name in ("scores", "stderr", "labels", "counts", "scores_by_ratio", "heldout_accuracy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scores, name), err_msg=name)
    for name in scores.more:
        np.testing.assert_array_equal(found.more[name], scores.more[name], err_msg=name)


def test_a_store_begun_by_one_door_is_gone_on_with_by_another(tmp_path):
    np.savez(tmp_path / "data.npz", images=PIXELS, labels=CODES)
    flags = {**FLAGS, "out": tmp_path / "out"}
    begun = jaxgen.estimate_scores(PIXELS, CODES, **{**flags, "num_runs": 2})
    files = {path: os.stat(path).st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}
    dataset = load_dataset(DataSpec(dataset=f"{tmp_path}/data.npz"))
    [(_, extended)] = score_settings(dataset, spec_from_values(CscoreSpec, {**flags, "out": str(tmp_path / "out")}))
    assert (begun.num_runs, extended.num_runs) == (2, 4)
    np.testing.assert_array_equal(extended.heldout_accuracy[:, :2], begun.heldout_accuracy)
    assert files
    assert {path: os.stat(path).st_mtime_ns for path in files} == files


def test_classes_of_test_pairs_go_by_their_names():
    tests = Pairs(PIXELS[[0, 25]], [0, 1])
    tests.classes = ["ash", "oak"]
    dataset = dataset_of_call(Pairs(PIXELS), test_images=tests)
    assert [dataset.class_names[label] for label in dataset.test_labels] == ["ash", "oak"]
    tests.classes = ["ash", "yew"]
    with pytest.raises(UserError, match="test images: have the class yew, which the images have not"):
        dataset_of_call(Pairs(PIXELS), test_images=tests)


def test_labels_of_pairs_may_be_one_hot_and_examples_tuples_of_one():
    assert dataset_of_call(Pairs(VALUES, CODES)).fingerprint == dataset_of_call(VALUES, CODES).fingerprint
    one_hot = [(values, row) for values, row in zip(VALUES, np.eye(3)[CODES], strict=True)]

    class OneHot(Pairs):
        classes = None

        def __getitem__(self, index):
            return one_hot[index]

    assert dataset_of_call(OneHot(VALUES)).fingerprint == dataset_of_call(VALUES, CODES).fingerprint

    class Alone(Pairs):
        def __getitem__(self, index):
            return (VALUES[index],)

    assert dataset_of_call(Alone(VALUES), CODES).fingerprint == dataset_of_call(VALUES, CODES).fingerprint
    assert dataset_of_call(Pairs(VALUES), class_names=NAMES).class_names == tuple(NAMES)
    with pytest.raises(UserError, match="images: are tuples, such as pairs of an image and a label"):
        dataset_of_call(Pairs(VALUES), CODES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PIXELS,), "labels: there are none; give one for each of the images"),
        ((FRAME, "e"), "labels: 'e' is no column: the images have the columns a, b, c, d"),
        ((Pairs([{"image": 1}] * 3, [0] * 3).images,), "labels: there are none"),
        ((Pairs([]),), "images: has no examples"),
        ((Pairs(opened()[:3], None),), "images: example 0 cannot be read ('NoneType' object is not subscriptable)"),
        ((Pairs([PIXELS[0], PIXELS[1, :3]], [0, 1]),), "images: are no array"),
    ],
)
def test_data_sets_that_cannot_be_read_are_one_line(arguments, said):
    with pytest.raises(UserError) as raised:
        dataset_of_call(*arguments)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
