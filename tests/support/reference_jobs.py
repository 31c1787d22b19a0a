"""A small job of every experiment, run and compared with what it wrote when it was recorded.

    python tests/support/reference_jobs.py [JOB ...]             what differs from the record
    python tests/support/reference_jobs.py --record [JOB ...]    what is written now becomes the record

Without names, all jobs. Record only those whose numbers were changed on purpose; the commit says why.
"""

import pathlib
import sys
import tempfile

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(pathlib.Path(__file__).parents[1])
    import support.jax_settings  # noqa: F401

from support.commands import type_in
from support.data import blobs
from support.records import compare, read_record, summarize_folder, write_record

RECORD = pathlib.Path(__file__).with_suffix(".jsonl")
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


def write_data(folder):
    """The data sets that the jobs name."""
    for name, count, side in (("mine", 60, 4), ("wide", 60, 8), ("tail", 240, 4)):
        (images, labels), (tests, test_labels) = blobs(count, side=side), blobs(30, side=side, seed=1)
        arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
        np.savez(folder / f"{name}.npz", class_names=["a", "b", "c"], **arrays)
    rng = np.random.default_rng(0)
    labels = (np.arange(120) % 6 == 0).astype(int)
    np.savez(folder / "table.npz", images=rng.normal(size=(120, 3)) + labels[:, None], labels=labels)


def run_job(folder, name):
    """Types a job's command in a folder that has the data; returns the summary of what it wrote."""
    entry, *flags = JOBS[name]
    result = type_in(folder, *flags, f"--out={name}", entry=entry, timeout=600)
    assert result.returncode == 0, result.stderr
    return summarize_folder(folder / name)


def main(arguments):
    """Compares or records jobs; returns how many differ."""
    recording = "--record" in arguments
    names = [name for name in arguments if name != "--record"] or list(JOBS)
    record, num_different = read_record(RECORD), 0
    with tempfile.TemporaryDirectory() as folder:
        write_data(pathlib.Path(folder))
        for name in names:
            summary = run_job(pathlib.Path(folder), name)
            differences = compare(record.get(name), summary)
            num_different += bool(differences)
            print(name, "; ".join(differences) or "equal", flush=True)
            if recording:
                record[name] = summary
                write_record(RECORD, record)
    return num_different


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
