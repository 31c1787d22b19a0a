"""``python -m jaxgen.oversampling`` as a user types it."""

import csv

import numpy as np
import pytest

from support.commands import type_in
from support.data import blobs

# Data and training of tests/experiments/oversampling/test_oversampling.py.
FLAGS = ("--dataset=npz:mine.npz", "--hidden=16", "--epochs=6", "--batch_size=8", "--learning_rate=0.1")
FLAGS += ("--num_runs=3", "--width=4", "--sample_sizes=24,48")


@pytest.fixture
def folder(tmp_path):
    images, labels = blobs(120)
    tests, test_labels = blobs(30, seed=1)
    np.savez(tmp_path / "mine.npz", images=images, labels=labels, test_images=tests, test_labels=test_labels)
    np.savez(tmp_path / "untested.npz", images=images, labels=labels)
    return tmp_path


def type_oversampling(folder, *typed):
    return type_in(folder, *FLAGS, *typed, entry="oversampling")


@pytest.mark.slow
def test_a_job_ends_with_its_files_and_is_not_trained_twice(folder):
    said = type_oversampling(folder, "--arm=plain,duplicates,uniform,augmented")
    assert said.returncode == 0, said.stderr
    assert "120 images of 4x4x1 in 3 classes, 30 for testing" in said.stderr
    assert "sample sizes: 24, 48" in said.stderr
    assert "24 models trained in" in said.stdout
    out = folder / "runs" / "oversampling_mine"
    for name in ("results.csv", "table.md", "takeaways.md", "figure.png", "flags.cfg"):
        assert (out / name).stat().st_size
        assert name in said.stdout
    with open(out / "results.csv", encoding="utf-8") as file:
        first = list(csv.DictReader(file))
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="oversampling")
    assert again.returncode == 0, again.stderr
    assert "0 models trained, because all were there; 24 in all" in again.stdout
    with open(out / "results.csv", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == first


@pytest.mark.slow
def test_a_dry_run_trains_nothing(folder):
    said = type_oversampling(folder, "--dry_run", "--arm=plain,uniform")
    assert said.returncode == 0, said.stderr
    assert "| mlp | 2 | 12 | 0 |" in said.stdout
    assert not list(folder.glob("runs/**/*.npz"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--sample_sizes=500",), "--sample_sizes=500: mine has 120 training examples; give at most so many"),
        (("--sample_sizes=24,5",), "--sample_sizes=5: is less than a batch of 8; give more, or a lower --batch_size"),
        (("--sample_sizes=2", "--batch_size=2"), "--sample_sizes=2: is less than one example for each of 3 classes"),
        (("--sample_sizes=many",), "give whole numbers with commas between"),
        (("--sample_sizes=0",), "--sample_sizes=0: give numbers of examples, each 1 or more"),
        (("--arm=plain,mirrored",), "mirrored must be one of plain, duplicates, uniform, gaussian, salt_and_pepper"),
        (("--split=never",), "--split=never: must be one of before, after"),
        (("--copied_share=1.5",), "--copied_share=1.5: must be at least 0 and at most 1"),
        (("--num_copies=0",), "--num_copies=0: copies nothing"),
        (("--dev_share=1",), "--dev_share=1: must be at least 0 and below 1"),
        (("--whiten",), "--whiten: noise is added to pixels in [0, 1]"),
        (("--arm=plain", "--translate=0.1"), "--translate=0.1: is for --arm=augmented"),
        (("--test_set=rest", "--sample_sizes=120"), "--test_set=rest: 120 of 120 examples"),
        (("--dataset=npz:untested.npz", "--test_share=0"), "--test_share=0: untested has no test set"),
        (("--patience=3",), "Unknown command line flag 'patience'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, typed, said):
    found = type_oversampling(folder, *typed)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.startswith("jaxgen.oversampling: ")
    assert found.stderr.count("\n") == 1
    assert not (folder / "runs").exists()
