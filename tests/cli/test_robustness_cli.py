"""``python -m jaxgen.robustness`` as a user types it."""

import csv

import numpy as np
import pytest

from support.commands import type_in
from support.data import blobs

# Data and training of tests/experiments/robustness/test_robustness.py, whose program is this one too.
FLAGS = ("--dataset=npz:mine.npz", "--hidden=16", "--epochs=12", "--batch_size=8", "--learning_rate=0.05")
FLAGS += ("--num_runs=3", "--width=3")
SWEEP = ("--train_modification=invert", "--train_severity=5", "--train_corruption=none,contrast")
SWEEP += ("--corruptions=impulse_noise,contrast", "--severities=1,5")


@pytest.fixture
def folder(tmp_path):
    images, labels = blobs(60, side=8)
    tests, test_labels = blobs(30, side=8, seed=1)
    arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
    np.savez(tmp_path / "mine.npz", class_names=["a", "b", "c"], **arrays)
    (tmp_path / "table.csv").write_text("x,y,label\n" + "".join(f"{3 * i},{i * i},{i % 2}\n" for i in range(20)))
    return tmp_path


def type_robustness(folder, *typed):
    return type_in(folder, *FLAGS, *typed, entry="robustness")


@pytest.mark.slow
def test_a_job_ends_with_its_files_and_is_not_trained_twice(folder):
    said = type_robustness(folder, *SWEEP)
    assert said.returncode == 0, said.stderr
    assert "12 models trained in" in said.stdout
    out = folder / "runs" / "robustness_mine_invert"
    for name in ("results.csv", "corrupted.csv", "f1.csv", "table.md", "takeaways.md", "curves.npz", "flags.cfg"):
        assert (out / name).stat().st_size
        assert name in said.stdout
    for name in ("heat_map.png", "severities.png", "f1.png", "corruptions.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    with open(out / "corrupted.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # The clean images, the modified ones, two corruptions at two severities.
    assert len(rows) == 12 * 6
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="robustness")
    assert again.returncode == 0, again.stderr
    assert "0 models trained, because all were there; 12 in all" in again.stdout


@pytest.mark.slow
def test_an_export_is_written_once_and_not_by_a_dry_run(folder):
    typed = ("--preset=none", "--corruptions=contrast", "--severities=5", "--export_dir=exported")
    planned = type_robustness(folder, *typed, "--dry_run")
    assert planned.returncode == 0, planned.stderr
    assert "nothing was trained" in planned.stdout
    assert not (folder / "exported").exists()
    assert type_robustness(folder, *typed).returncode == 0
    assert (folder / "exported" / "contrast.npy").stat().st_size
    again = type_robustness(folder, *typed)
    assert again.returncode == 0, again.stderr
    other = type_robustness(folder, *typed, "--constants=imagenet")
    assert other.returncode == 2
    assert "contrast.npy: is there already, with other content; remove it, or name another folder" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--corruptions=rain",), "--corruptions=rain: give standard, all, or some of gaussian_noise, shot_noise"),
        (("--severities=0:3",), "--severities=0:3: give one or more from 1 to 5"),
        (("--train_severity=6",), "--train_severity=6: must be at least 1 and at most 5"),
        (("--train_modification=rain",), "--train_modification=rain: must be one of none, gaussian_noise"),
        (("--dataset=csv:table.csv",), "--dataset=csv:table.csv: has rows of features, and corruption is for images"),
        (("--corrupted_dir=nowhere",), "--corrupted_dir: nowhere: there is no such folder"),
        (("--cscores=nothing.npz",), "--cscores=nothing.npz: there is no such file; a cscores.npz"),
        (("--baseline=best", "--preset=none"), "--baseline=best: no such setting; there are: plain"),
        (("--baseline=train_corruption=frog",), "the 5 of 21 most like it: train_corruption=fog | train_corruption=f"),
        (("--noise_kind=pairs,cyclic",), "--noise_kind=pairs,cyclic: no label is drawn anew; give a --label_noise"),
        (("--noise_matrix=m.csv",), "--noise_matrix=m.csv: leave it out, or give --noise_kind=matrix"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, typed, said):
    found = type_robustness(folder, *typed)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (folder / "runs").exists()
