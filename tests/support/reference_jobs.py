"""A small job of every experiment, and digests of the numbers that it writes.

    python tests/support/reference_jobs.py     what the installed jaxgen writes, into tests/reference_jobs.json

Two kinds of digest. On a processor like the one that recorded them, every array, row and table is compared to the last
bit. Elsewhere floats round otherwise, so that only draws (subsets, noise, samples) are compared exactly and what was
learnt by its mean.
"""

import csv
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
import sys
import tempfile

import numpy as np

RECORD = pathlib.Path(__file__).parents[1] / "reference_jobs.json"
TRAINING = (
    "--dataset=npz:mine.npz",
    "--hidden=16",
    "--epochs=6",
    "--batch_size=8",
    "--learning_rate=0.05",
    "--width=3",
)
LONG_TAIL = ("--num_runs=3", "--imbalance=8", "--head_epochs=3", "--head_batch_size=16", "--threshold=0.5,1.5")
# From a job's name to its command and flags.
JOBS = {
    "cscore": (
        "cscore",
        *TRAINING,
        "--num_runs=10",
        "--subset_ratios=0.3,0.7",
        "--influence_pairs=2",
        "--patience=2",
        "--validation_share=0.1",
        "--export_runs=exported",
    ),
    "cscore_nested": (
        "cscore",
        *TRAINING,
        "--num_runs=6",
        "--subset_ratios=0.5,0.8",
        "--design=nested",
        "--mixup=0.2",
        "--flip=0.5",
        "--dropout=0.1",
        "--track=dynamics,grand,pixel_density",
    ),
    "cscore_convnet": (
        "cscore",
        *TRAINING,
        "--model=convnet",
        "--epochs=2",
        "--num_runs=4",
        "--subset_ratios=0.5",
        "--convolution=batched",
        "--norm=batch",
        "--dataset=npz:wide.npz",
    ),
    "sweep": (
        "cscore",
        *TRAINING,
        "--num_runs=3",
        "--subset_ratios=0.6",
        "--weight_decay=0,0.01",
        "--optimizer=sgd,adam",
        "--dropout=0,0.2",
    ),
    "mislabelled": ("mislabelled", *TRAINING, "--num_runs=6"),
    "mislabelled_benchmark": ("mislabelled", *TRAINING, "--num_runs=6", "--inject=symmetric:0.1", "--repeats=2"),
    "randomization": (
        "randomization",
        *TRAINING,
        "--num_runs=3",
        "--label_noise=0,0.5,1",
        "--noise_kind=uniform,permutation",
    ),
    "figure1": ("randomization", *TRAINING, "--num_runs=1", "--preset=figure1"),
    "table1": (
        "randomization",
        "--dataset=npz:wide.npz",
        "--preset=table1",
        "--num_runs=1",
        "--epochs=1",
        "--model=mlp1x512",
        "--width=2",
    ),
    "label_noise": ("randomization", *TRAINING, "--num_runs=1", "--preset=label_noise", "--label_noise=0,1"),
    "regularizers": ("randomization", *TRAINING, "--num_runs=1", "--preset=regularizers"),
    "optimizers": ("randomization", *TRAINING, "--num_runs=1", "--preset=optimizers"),
    "robustness": (
        "robustness",
        *TRAINING,
        "--num_runs=2",
        "--dataset=npz:wide.npz",
        "--severities=1,5",
        "--corruptions=impulse_noise,contrast,fog",
    ),
    "modification": (
        "robustness",
        *TRAINING,
        "--num_runs=3",
        "--dataset=npz:wide.npz",
        "--severities=5",
        "--corruptions=impulse_noise",
        "--train_modification=invert",
        "--train_corruption=none,contrast",
    ),
    "oversampling": ("oversampling", *TRAINING, "--num_runs=3", "--sample_sizes=24,48"),
    "lnr": ("lnr", *TRAINING, *LONG_TAIL, "--dataset=npz:tail.npz", "--shot_classes=1,2", "--flip_rounds=2"),
    "lnr_augmented": (
        "lnr",
        *TRAINING,
        *LONG_TAIL,
        "--dataset=npz:tail.npz",
        "--model=convnet",
        "--epochs=1",
        "--convolution=batched",
        "--stage2=augmented",
        "--norm=batch",
        "--shift_bn",
        "--methods=ce,crt,mislas,lnr,random_flips",
        "--flip=0.5",
    ),
    "lnr_table": (
        "lnr",
        "--dataset=npz:table.npz",
        "--num_runs=2",
        "--folds=3",
        "--classifiers=knn,logistic,mlp",
        "--treatments=none,lnr,random_flips,smote",
        "--threshold=1,3",
        "--mlp_epochs=5",
    ),
}
# What is drawn before anything is learnt: equal on every machine.
DRAWN = {"trained_on", "validation", "changed", "run", "setting", "subset_ratio", "sample_size", "num_train", "fold"}
# Clocks, and what names a machine.
UNTOLD = {"seconds", "metadata", "checksum", "checksum_of_tracked"}


def blobs(count, side, seed=0, classes=3):
    """Noisy images, one bright pixel a class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    images = rng.integers(0, 160, (count, side * side))
    images[np.arange(count), labels] += 90
    return images.astype(np.uint8).reshape(count, side, side), labels


def write_data(folder):
    """The data sets that the jobs name."""
    for name, count, side in (("mine", 60, 4), ("wide", 60, 8), ("tail", 240, 4)):
        (images, labels), (tests, test_labels) = blobs(count, side), blobs(30, side, seed=1)
        arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
        np.savez(folder / f"{name}.npz", class_names=["a", "b", "c"], **arrays)
    rng = np.random.default_rng(0)
    labels = (np.arange(120) % 6 == 0).astype(int)
    np.savez(folder / "table.npz", images=rng.normal(size=(120, 3)) + labels[:, None], labels=labels)


def machine():
    """What decides how floats round: the processor and what compiles for it."""
    model = (
        re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        if sys.platform == "linux"
        else None
    )
    packages = ("jax", "jaxlib", "numpy", "optax", "flax", "scikit-learn", "imbalanced-learn")
    return [model[1] if model else platform.processor(), *(importlib.metadata.version(name) for name in packages)]


def columns_of(path):
    """A csv file's columns, or an npz file's arrays."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def digest(array):
    """Of an array's values, whatever wider type they have."""
    return hashlib.sha256(f"{array.dtype.kind}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]


def mean(array):
    """The mean of the numbers among an array's values; None of text."""
    try:
        values = np.unpackbits(array) if array.dtype == np.uint8 else array.astype(float)
    except ValueError:
        return None
    values = values[np.isfinite(values)]
    return round(float(values.mean()), 6) if values.size else None


def name_of(path, out):
    """Of a file below a job's folder, without digests of plans, which name their version."""
    return re.sub(r"\b[0-9a-f]{12}\b", "PLAN", path.relative_to(out).as_posix())


def read_job(out):
    """All numbers that a job has left in its folder: by file and column ``{"exact", "drawn", "mean"}``."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.suffix in (".csv", ".npz"):
            for name, array in columns_of(path).items():
                if name not in UNTOLD:
                    key = f"{name_of(path, out)}:{name}"
                    found[key] = {"exact": digest(array), "drawn": name in DRAWN, "mean": mean(array)}
        elif path.suffix in (".md", ".png", ".pdf", ".html", ".cfg"):
            text = path.suffix == ".md"
            found[name_of(path, out)] = {"exact": digest(np.frombuffer(path.read_bytes(), np.uint8)) if text else ""}
    return found


def run_job(folder, name):
    """Types a job's command in a folder that has the data; returns all numbers that it wrote."""
    from support.commands import Command

    entry, *flags = JOBS[name]
    said = Command(folder, *flags, f"--out={name}", entry=entry).result(timeout=600)
    assert said.returncode == 0, said.stderr
    return read_job(folder / name)


if __name__ == "__main__":
    sys.path[0] = str(RECORD.parent)
    import support.jax_settings  # noqa: F401  (the settings of JAX that tests have)

    with tempfile.TemporaryDirectory() as place:
        write_data(pathlib.Path(place))
        names = sys.argv[1:] or list(JOBS)
        kept = json.loads(RECORD.read_text())["jobs"] if RECORD.exists() and sys.argv[1:] else {}
        for name in names:
            kept[name] = run_job(pathlib.Path(place), name)
            RECORD.write_text(json.dumps({"machine": machine(), "jobs": kept}, indent=0, sort_keys=True) + "\n")
            print(name, flush=True)
