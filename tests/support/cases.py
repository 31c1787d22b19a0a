"""Small data sets as people really have them, each of a kind that other tools are known to misread."""

import pathlib

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

DIGITS = load_digits()
CLASSES = np.repeat([0, 1, 2], 20)
NOISE = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd")).assign(label=CLASSES)
PIXELS = (DIGITS.images * 15.9).astype(np.uint8).repeat(3, 1).repeat(3, 2)
# Digits 0, 1 and 2 that are drawn as pictures.
DRAWN = np.sort(np.concatenate([np.flatnonzero(DIGITS.target == digit)[:12] for digit in range(3)]))


def write_tables(root):
    NOISE.to_csv(root / "clean.csv", index=False)
    NOISE.to_csv(root / "unnamed_index.csv")
    for name in ("Id", "ID", "rownames", "index"):
        NOISE.reset_index(names=name).to_csv(root / f"index_{name}.csv", index=False)
    without = NOISE.assign(label=NOISE.label.astype(float))
    without.loc[[3, 25], "label"] = np.nan
    for name, spelling in (("NA", "NA"), ("nan", "nan"), ("question", "?"), ("NULL", "NULL"), ("empty", "")):
        without.to_csv(root / f"missing_label_{name}.csv", index=False, na_rep=spelling)
    NOISE.assign(label=NOISE.label.astype(float)).to_csv(root / "float_labels.csv", index=False)
    NOISE.assign(label=NOISE.label > 0).to_csv(root / "bool_labels.csv", index=False)
    gaps = NOISE.copy()
    gaps.loc[[5, 9], "b"] = np.nan
    gaps.to_csv(root / "missing_values.csv", index=False)
    NOISE.assign(colour=["red", "green", "blue"] * 20).to_csv(root / "categories.csv", index=False)
    NOISE.to_csv(root / "semicolons.csv", index=False, sep=";")
    NOISE.to_csv(root / "tabs.tsv", index=False, sep="\t")
    NOISE.to_csv(root / "utf16.csv", index=False, encoding="utf-16")
    NOISE.to_parquet(root / "table.parquet")
    NOISE.assign(label=np.array([10, 9, 100])[CLASSES]).to_csv(root / "numbered_classes.csv", index=False)


def save(picture, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)


def write_pictures(root):
    for place, i in enumerate(map(int, DRAWN)):
        pixels, digit = PIXELS[i], int(DIGITS.target[i])
        grey, kind = Image.fromarray(pixels), f"c{digit}"
        paths = {
            "plain": f"{kind}/{i}.png",
            "formats": f"{kind}/{i}.{('png', 'bmp', 'webp')[digit]}",
            "nested": f"{kind}/{'part1/' * (i % 2)}{i}.png",
            "hidden": f"{kind}/{i}.png",
            "empty": f"{kind}/{i}.png",
            "three_splits": f"{('train', 'validation', 'test')[place // 3 % 3]}/{kind}/{i}.png",
            "training_testing": f"{('training', 'testing')[place // 3 % 2]}/{kind}/{i}.png",
            "numbered": f"{(10, 9, 100)[digit]}/{i}.png",
        }
        for case, path in paths.items():
            save(grey, root / case / path, **({"lossless": True} if path.endswith("webp") else {}))
        save(Image.fromarray(np.dstack([0 * pixels] * 3 + [pixels])), root / "alpha" / kind / f"{i}.png")
        exif = Image.Exif()
        exif[0x112] = 6 if i % 2 else 1
        turned = Image.fromarray(np.rot90(pixels).copy()) if i % 2 else grey
        save(turned, root / "exif" / kind / f"{i}.jpg", exif=exif, quality=95)
        colour = Image.fromarray(np.dstack([pixels, pixels // 2, 255 - pixels])).resize((40, 40))
        indexed = colour.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
        save(indexed, root / "palette" / kind / f"{i}.png")
        save(indexed.convert("RGB"), root / "palette_as_rgb" / kind / f"{i}.png")
    (root / "hidden" / "c0" / "._0.png").write_bytes(b"\0\5\26\7" + bytes(60))
    save(Image.fromarray(PIXELS[0]), root / "hidden" / "c1" / ".trash.png")
    (root / "empty" / "empty_class").mkdir()


def write_arrays(root):
    x, y = DIGITS.images[:300], DIGITS.target[:300]
    np.savez(root / "small_range_uint8.npz", images=x.astype(np.uint8), labels=y)
    np.savez(root / "small_range_int64.npz", images=x.astype(int), labels=y)
    np.savez(root / "mask_uint8.npz", images=(x > 7).astype(np.uint8), labels=y)
    np.savez(root / "mask_bool.npz", images=x > 7, labels=y)
    np.savez(root / "keras.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    parts = {"train": slice(200), "val": slice(200, 250), "test": slice(250, 300)}
    medical = {f"{part}_images": x[rows] for part, rows in parts.items()}
    medical |= {f"{part}_labels": y[rows, None] for part, rows in parts.items()}
    np.savez(root / "medmnist.npz", **medical)
    np.savez(root / "one_hot.npz", images=x, labels=np.eye(10)[y])
    np.savez(root / "channels_first.npz", images=np.stack([x] * 3, 1), labels=y)
    tests = {"test_images": x[:100] / 16 * 1.0000001, "test_labels": y[:100]}
    np.savez(root / "slightly_above_one.npz", images=x / 16, labels=y, **tests)


def write_cases(root: pathlib.Path) -> pathlib.Path:
    write_tables(root)
    write_pictures(root)
    write_arrays(root)
    return root
