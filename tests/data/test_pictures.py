"""Pictures as people have them: formats, orientation, transparency, palettes, depth, and folders of many kinds."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from jaxgen import UserError
from jaxgen.config import DataSpec
from jaxgen.data import load_dataset
from jaxgen.data.describe import describe_data
from jaxgen.data.image_folder import load_image_folder
from jaxgen.io import arrays

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 6, 5)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (6, 6, 5, 3)).astype(np.uint8)


def save(root: pathlib.Path, pictures, suffix="png", **options):
    """Saves pictures, one class after another, as ``root/c<0 or 1>/<i>.<suffix>``."""
    for i, picture in enumerate(pictures):
        path = root / f"c{i % 2}" / f"{i}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        picture.save(path, **options)
    return root


def save_named(root, first, second, third):
    """Saves three pictures of each of two classes, and one of a third, in folders of these names."""
    save(root, GREY)
    (root / "c0").rename(root / first)
    (root / "c1").rename(root / second)
    save(root, GREY[:1])
    (root / "c0").rename(root / third)


def load(root, **flags):
    dataset = load_dataset(DataSpec(dataset=f"images:{root}", **flags))
    order = np.argsort([int(pathlib.Path(example_id).stem) for example_id in dataset.ids])
    return dataset, dataset.images[order]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "gif", "PNG"])
def test_formats_without_loss_are_read_as_they_are(tmp_path, suffix):
    _, images = load(save(tmp_path, GREY, suffix))
    np.testing.assert_array_equal(images[..., 0], GREY)


@pytest.mark.parametrize(("suffix", "options"), [("webp", {"lossless": True}), ("jpg", {"quality": 95}), ("jpe", {})])
def test_formats_of_colour_are_read(tmp_path, suffix, options):
    smooth = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None] * 40, (6, 8, 8, 3))
    dataset, images = load(save(tmp_path, smooth, suffix, **options))
    np.testing.assert_allclose(images.astype(int), smooth, atol=2)
    assert dataset.notes == ()


def test_a_picture_lying_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    for i, picture in enumerate(GREY):
        turned = i % 3 == 0
        stored = np.rot90(picture, 1).copy() if turned else picture
        save(tmp_path / "one", [stored], exif=exif if turned else None)
        (tmp_path / "all" / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "one" / "c0" / "0.png").rename(tmp_path / "all" / f"c{i % 2}" / f"{i}.png")
    dataset, images = load(tmp_path / "all")
    np.testing.assert_array_equal(images[..., 0], GREY)
    assert dataset.notes == ("2 of 6 pictures were turned upright, by the orientation in their EXIF data",)


def test_transparent_pictures_are_laid_on_white(tmp_path):
    black = np.zeros_like(GREY)
    dataset, images = load(
        save(tmp_path, [Image.merge("LA", list(map(Image.fromarray, pair))) for pair in zip(black, GREY, strict=True)])
    )
    np.testing.assert_allclose(images[..., 0], 255 - GREY.astype(int), atol=1)
    assert dataset.notes == ("6 of 6 pictures are transparent in parts, and were laid on white",)
    opaque = [Image.merge("LA", [Image.fromarray(picture), Image.new("L", (5, 6), 255)]) for picture in GREY]
    dataset, images = load(save(tmp_path, opaque))
    np.testing.assert_array_equal(images[..., 0], GREY)
    assert dataset.notes == ()


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    pictures = [Image.fromarray(picture).convert("P") for picture in COLOUR]
    expected = [np.asarray(picture.convert("RGB")).copy() for picture in pictures]
    for picture, array in zip(pictures, expected, strict=True):
        array[np.asarray(picture) == 7] = 255
        picture.info["transparency"] = 7
    _, images = load(save(tmp_path, pictures))
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("mode", ["P", "1"])
def test_palettes_and_single_bits_are_resolved_before_resizing(tmp_path, mode):
    pictures = [Image.fromarray(picture).convert(mode) for picture in COLOUR]
    _, found = load(save(tmp_path / "as it is", pictures), image_size=4)
    plain = [picture.convert("RGB" if mode == "P" else "L") for picture in pictures]
    _, expected = load(save(tmp_path / "plain", plain), image_size=4)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 5


@pytest.mark.parametrize(("largest", "white"), [(255, 255), (1000, 1023), (4000, 4095), (60000, 65535)])
def test_sixteen_bits_go_by_their_range(tmp_path, largest, white):
    deep = (GREY.astype(np.uint16) * (largest / GREY.max())).astype(np.uint16)
    dataset, images = load(save(tmp_path, deep))
    np.testing.assert_array_equal(images[..., 0], np.rint(deep * (255 / white)))
    assert dataset.notes == (f"pictures of 16 bits have values up to {largest:,}: {white:,} was taken for white",)


def test_numbers_of_thirty_two_bits_are_refused(tmp_path):
    with pytest.raises(UserError, match="it holds numbers of 32 bits; save 8 or 16 bits a channel"):
        load(save(tmp_path, GREY.astype(np.float32), "tif"))


def test_of_several_frames_the_first_is_taken(tmp_path):
    later = [Image.fromarray(255 - picture) for picture in GREY[:1]]
    dataset, images = load(save(tmp_path, GREY, "gif", save_all=True, append_images=later))
    np.testing.assert_array_equal(images[..., 0], GREY)
    assert dataset.notes == ("of 6 files with several frames the first was taken",)


def test_what_is_left_out_is_counted_by_class_and_reason(tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "c0" / "._0.png").write_bytes(b"\0\5\26\7" + bytes(60))
    (tmp_path / "c0" / "notes.txt").write_text("mine")
    (tmp_path / "c0" / "8.heic").write_bytes(bytes(60))
    (tmp_path / "c0" / "9.heic").write_bytes(bytes(60))
    save(tmp_path / "c1" / ".trash", GREY[:1])
    (tmp_path / "0.png").write_bytes((tmp_path / "c0" / "0.png").read_bytes())
    dataset, images = load(tmp_path)
    assert len(images) == 6
    assert dataset.notes == (
        "left out of c0: 2 files .heic, 1 file .txt, 1 hidden file",
        "left out of c1: 1 hidden file",
        "left out: 1 picture that no class folder holds",
    )


def test_a_class_without_pictures_is_refused_by_name(tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: has no pictures; remove this folder, or put pictures into it"):
        load(tmp_path)
    (tmp_path / "empty" / "1.heic").write_bytes(bytes(9))
    with pytest.raises(UserError, match=r"empty: has no pictures \(left out: 1 file .heic\); remove"):
        load(tmp_path)


def test_a_folder_of_one_class_or_none_says_what_to_do(tmp_path):
    with pytest.raises(
        UserError, match=r"has no folders named by class, .*; make a folder for each class, and put its"
    ):
        load(tmp_path)
    save(tmp_path, GREY)
    (tmp_path / "c0").rename(tmp_path / "c1" / "c0")
    with pytest.raises(UserError, match=r"has one folder of a class, c1, in .*; two classes or more are needed: add"):
        load(tmp_path)


def test_pictures_in_folders_below_are_of_the_class_above(tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "c1" / "part" / "deep").mkdir(parents=True)
    (tmp_path / "c1" / "3.png").rename(tmp_path / "c1" / "part" / "deep" / "3.png")
    dataset, images = load(tmp_path)
    np.testing.assert_array_equal(images[..., 0], GREY)
    assert dataset.class_names == ("c0", "c1")
    assert "c1/part/deep/3.png" in dataset.ids.tolist()
    assert dataset.notes == ("1 of 3 pictures of c1 lie in folders below it, such as c1/part/deep/3.png",)


@pytest.mark.parametrize(
    ("folders", "tests", "notes"),
    [
        (["train", "test"], 6, ["train/ is for training, test/ for testing"]),
        (["Training", "Testing"], 6, ["Training/ is for training, Testing/ for testing"]),
        (["train", "val"], 6, ["train/ is for training, val/ for testing"]),
        (
            ["train", "validation", "test"],
            6,
            ["train/ is for training, test/ for testing", "validation/ is not read (6 pictures)"],
        ),
        (["train"], 0, ["train/ is for training, nothing for testing"]),
    ],
)
def test_parts_are_told_apart_by_the_names_of_their_folders(tmp_path, folders, tests, notes):
    for i, folder in enumerate(folders):
        save(tmp_path / folder, (GREY + i).astype(np.uint8))
    dataset, _ = load(tmp_path)
    assert dataset.class_names == ("c0", "c1")
    assert list(dataset.notes) == notes
    np.testing.assert_array_equal(sorted(dataset.images.ravel()), sorted(GREY.ravel()))
    assert (0 if dataset.test_labels is None else len(dataset.test_labels)) == tests
    if tests:
        shifted = (GREY + folders.index(notes[0].split(", ")[1].split("/")[0])).astype(np.uint8)
        np.testing.assert_array_equal(sorted(dataset.test_images.ravel()), sorted(shifted.ravel()))


def test_two_folders_of_one_part_are_refused_and_such_names_beside_others_are_classes(tmp_path):
    for folder in ("train", "training", "test"):
        save(tmp_path / folder, GREY)
    with pytest.raises(UserError, match="train and training are two folders of one part; join them"):
        load(tmp_path)
    (tmp_path / "training").rename(tmp_path / "bus")
    assert load_image_folder(str(tmp_path), DataSpec()).class_names == ("bus", "test", "train")


def test_classes_named_by_numbers_are_in_their_order(tmp_path):
    save_named(tmp_path, "10", "9", "100")
    dataset = load_image_folder(str(tmp_path), DataSpec())
    assert dataset.class_names == ("9", "10", "100")
    folders = [example_id.split("/")[0] for example_id in dataset.ids]
    assert [dataset.class_names[label] for label in dataset.labels] == folders


def test_folders_are_classes_as_they_are_named(tmp_path):
    save_named(tmp_path, "1.0", "1", "__unknown__")
    assert load_image_folder(str(tmp_path), DataSpec()).class_names == ("1", "1.0", "__unknown__")


def test_no_picture_is_left_out_in_silence(tmp_path):
    for folder in ("train", "test"):
        save(tmp_path / "mine" / folder, GREY)
    (tmp_path / "mine" / "loose.png").write_bytes((tmp_path / "mine" / "test" / "c0" / "0.png").read_bytes())
    save(tmp_path / "elsewhere", GREY[:1])
    (tmp_path / "mine" / "train" / "c0" / "more").symlink_to(tmp_path / "elsewhere" / "c0")
    (tmp_path / "mine" / "train" / "c0" / "round").symlink_to(tmp_path / "mine" / "train" / "c0")
    dataset = load_image_folder(str(tmp_path / "mine"), DataSpec())
    assert len(dataset.labels) == 7
    assert dataset.notes[1] == "left out: 1 picture beside these folders"
    save(tmp_path / "mine" / "Train", GREY)
    with pytest.raises(UserError, match="Train and train are two folders of one part; join them"):
        load(tmp_path / "mine")


def test_a_class_that_is_tested_only_is_refused_by_name(tmp_path):
    for folder in ("train", "test"):
        save(tmp_path / folder, GREY)
    (tmp_path / "test" / "c1").rename(tmp_path / "test" / "c7")
    with pytest.raises(UserError, match="the class c7 has pictures for testing"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_turned_pictures_are_counted_in_every_format(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x112] = 3
    options = {"lossless": True} if suffix == "webp" else {}
    turned = [np.rot90(np.stack([picture] * 3, -1), 2).copy() for picture in GREY]
    dataset, images = load(save(tmp_path, turned, suffix, exif=exif, **options))
    np.testing.assert_array_equal(images[..., 0], GREY)
    assert dataset.notes[0].startswith("6 of 6 pictures were turned upright")


def test_blank_pictures_are_no_damaged_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "SMALL", 10_000)
    save(tmp_path, [np.zeros((600, 600), np.uint8)] * 8)
    with pytest.raises(UserError, match=r"with the pictures before it, .* would unpack to .*; or give --image_size"):
        load(tmp_path)
    assert load(tmp_path, image_size=4)[1].shape == (8, 4, 4, 1)


def test_a_column_of_pictures_is_read_as_it_is_written(tmp_path):
    for name, picture in (("01", GREY[0]), ("1", GREY[1]), ("02", GREY[2])):
        Image.fromarray(picture).save(tmp_path / name, "PNG")
    (tmp_path / "mine.csv").write_text("f,label\n01,x\n02,y\n")
    dataset = load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), image_column="f"))
    np.testing.assert_array_equal(dataset.images[..., 0], GREY[[0, 2]])
    assert dataset.ids.tolist() == ["01", "02"]
    (tmp_path / "long.csv").write_text(f"f,label\n{'z' * 300},x\n02,y\n")
    with pytest.raises(UserError, match="line 2: there is no such picture"):
        load_dataset(DataSpec(dataset=str(tmp_path / "long.csv"), image_column="f"))


def test_a_table_may_name_its_pictures(tmp_path):
    save(tmp_path / "files", GREY)
    rows = "\n".join(f"files/c{i % 2}/{i}.png,{'oak' if i < 3 else 'elm'},{i}" for i in range(6))
    (tmp_path / "mine.csv").write_text(f"path,kind,height\n{rows}\n")
    flags = {"label_column": "kind", "image_column": "path"}
    dataset = load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), **flags))
    np.testing.assert_array_equal(dataset.images[..., 0], GREY)
    assert [dataset.class_names[label] for label in dataset.labels] == ["oak"] * 3 + ["elm"] * 3
    assert dataset.ids[1] == "files/c1/1.png"
    assert dataset.notes == ("not read: height",)
    small = load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), image_size=4, **flags))
    assert small.images.shape == (6, 4, 4, 1)
    with pytest.raises(UserError, match=r"--image_column=file: .* has the columns path, kind, height"):
        load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), label_column="kind", image_column="file"))
    with pytest.raises(UserError, match="--image_size=4: is for pictures; name their column by --image_column"):
        load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), label_column="kind", image_size=4))
    (tmp_path / "files" / "c0" / "2.png").unlink()
    with pytest.raises(UserError, match=r"line 4: there is no such picture: .*2\.png; mend or drop the line"):
        load_dataset(DataSpec(dataset=str(tmp_path / "mine.csv"), **flags))


def test_what_was_read_is_told(tmp_path):
    dataset, _ = load(save(tmp_path / "mine", GREY[:5]))
    assert list(describe_data(dataset)) == ["read mine: 5 images of 6x5x1, bytes; 2 classes: c0 (3), c1 (2)"]
