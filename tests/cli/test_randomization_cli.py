"""``python -m jaxgen.randomization`` as a user types it."""

import csv

import numpy as np
import pytest

from jaxgen.config import RandomizationSpec, flags
from jaxgen.experiments.randomization.presets import settings_of
from support.commands import type_in
from support.data import blobs

# Data and training of tests/experiments/randomization/test_randomization.py, whose program is this one too.
FLAGS = ("--dataset=npz:mine.npz", "--hidden=32", "--epochs=25", "--batch_size=8", "--learning_rate=0.05")
FLAGS += ("--num_runs=3", "--width=2")


@pytest.fixture
def folder(tmp_path):
    images, labels = blobs(60)
    tests, test_labels = blobs(30, seed=1)
    arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
    np.savez(tmp_path / "mine.npz", class_names=["a", "b", "c"], **arrays)
    np.savez(tmp_path / "untested.npz", images=images, labels=labels)
    np.savez(tmp_path / "skewed.npz", images=images, labels=labels[1:])
    return tmp_path


def type_randomization(folder, *typed):
    return type_in(folder, *FLAGS, *typed, entry="randomization")


@pytest.mark.slow
def test_a_job_ends_with_its_files_and_is_not_trained_twice(folder):
    said = type_randomization(folder, "--preset=figure1", "--label_noise=0,0.5,1")
    assert said.returncode == 0, said.stderr
    assert "60 images of 4x4x1 in 3 classes, 30 for testing" in said.stderr
    assert "18 models trained in" in said.stdout
    out = folder / "runs" / "randomization_mine_figure1"
    names = ("results.csv", "curves.npz", "table.md", "takeaways.md", "figure1.png", "curves.png", "flags.cfg")
    for name in names:
        assert (out / name).stat().st_size
        assert name in said.stdout
    with open(out / "results.csv", encoding="utf-8") as file:
        first = list(csv.DictReader(file))
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="randomization")
    assert again.returncode == 0, again.stderr
    assert "0 models trained, because all were there; 18 in all" in again.stdout
    with open(out / "results.csv", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == first


def test_a_default_typed_beside_a_preset_is_meant():
    typed = ["--preset=label_noise", "--label_noise=0", "--dropout=0", "--epochs=20"]
    settings = settings_of(flags.parse(RandomizationSpec, typed), True, ())
    # Weight decay and label smoothing, on and off; 20 epochs as typed, and not the preset's.
    assert len(settings) == 4
    assert {setting.spec.train.epochs for setting in settings} == {20}
    assert {setting.spec.train.batch_size for setting in settings} == {64}


def save_matrix(folder, rows):
    np.savetxt(folder / "matrix.csv", rows, delimiter=",")


def test_a_matrix_is_the_one_array_of_its_file(folder):
    np.savez(folder / "none.npz")
    found = type_randomization(folder, "--noise_kind=matrix", "--noise_matrix=none.npz", "--label_noise=1")
    assert found.returncode == 2
    assert "--noise_matrix=none.npz: cannot be read (0 arrays where one is needed)" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[0.9, 0.1, 0.1], [0, 1, 0], [0, 0, 1]], "row 1 sums to 1.1; every row must sum to 1"),
        ([[1, 0], [0, 1]], "has shape (2, 2), type float64; needed: 3 rows of 3 numbers"),
        ([[1.5, -0.5, 0], [0, 1, 0], [0, 0, 1]], "holds numbers below 0"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_matrix_is_refused(folder, rows, said):
    if rows:
        save_matrix(folder, rows)
    found = type_randomization(folder, "--noise_kind=matrix", "--noise_matrix=matrix.csv", "--label_noise=1")
    assert found.returncode == 2
    assert found.stderr.startswith("jaxgen.randomization: --noise_matrix=matrix.csv: ")
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--label_noise=0:2:0.5",), "--label_noise=0:2:0.5: 1.5 must be at least 0 and at most 1"),
        (("--preset=figure2",), "--preset"),
        (("--dataset=npz:untested.npz", "--test_share=0"), "--test_share=0: untested has no test set; give a share"),
        (("--num_test_examples=31",), "--num_test_examples=31: npz:mine.npz has 30 test examples"),
        (("--center_crop=9",), "--center_crop=9: npz:mine.npz has images of 4x4 pixels; take less"),
        (("--keep=epochs",), "--keep: no flag any more, for --preset leaves every flag that is given as it is; leave"),
        (("--label_noise=0:1:0.001", "--num_runs=99"), "1,001 settings of 99 models each are 99,099 members"),
        (("--noise_kind=pairs",), "--noise_kind=pairs: no label is drawn anew; give a --label_noise above 0"),
        (("--noise_kind=matrix", "--noise_matrix=m.csv"), "--noise_kind=matrix: no label is drawn anew"),
        (("--dataset=npz:skewed.npz",), "--dataset=npz:skewed.npz: labels: have shape (59,) for 60 examples"),
        (("--patience=3",), "--patience=3: needs a --validation_share"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, typed, said):
    found = type_randomization(folder, *typed)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (folder / "runs").exists()
