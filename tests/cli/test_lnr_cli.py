"""``python -m jaxgen.lnr`` as a user types it."""

import numpy as np
import pytest

from support.commands import type_in
from support.data import blobs

# Data and training of tests/experiments/longtail/test_long_tail.py.
FLAGS = ("--dataset=npz:mine.npz", "--hidden=16", "--epochs=8", "--batch_size=8", "--learning_rate=0.05")
FLAGS += ("--num_runs=3", "--width=3", "--imbalance=8", "--head_epochs=4", "--head_batch_size=16")


@pytest.fixture
def folder(tmp_path):
    images, labels = blobs(240)
    tests, test_labels = blobs(90, seed=1)
    arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
    np.savez(tmp_path / "mine.npz", class_names=["a", "b", "c"], **arrays)
    return tmp_path


def type_lnr(folder, *typed):
    return type_in(folder, *FLAGS, *typed, entry="lnr")


@pytest.mark.parametrize(
    ("typed", "first", "second"),
    [(("--methods=ce,mislas,lnr",), 6, 9), ((), 9, 39)],
    ids=["three methods", "all methods"],
)
@pytest.mark.slow
def test_a_job_ends_with_its_files_and_is_not_trained_twice(folder, typed, first, second):
    said = type_lnr(folder, "--threshold=0.5,1.5", "--shot_classes=1,2", *typed)
    assert said.returncode == 0, said.stderr
    assert "94 training examples, of the classes 64, 22, 8; 48 of all classes alike" in said.stderr
    assert f"stage 1: {first} models trained in" in said.stdout
    assert f"stage 2: {second} models trained in" in said.stdout
    out = folder / "runs" / "lnr_mine"
    for name in ("results.csv", "table.md", "takeaways.md", "methods.png", "reliability.png", "flips.png", "flags.cfg"):
        assert (out / name).stat().st_size
        assert name in said.stdout
    assert "by rank of class size: many (the first 1): a; medium (2 to 2): b" in (out / "table.md").read_text()
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="lnr")
    assert again.returncode == 0, again.stderr
    assert "--width=3" in (out / "flags.cfg").read_text()
    assert again.stdout.count("0 models trained, because all were there") == 2


@pytest.mark.slow
def test_what_if_trains_stage_1_only(folder):
    said = type_lnr(folder, "--what_if", "--threshold=1,3")
    assert said.returncode == 0, said.stderr
    first, second = (float(line.split("|")[2]) for line in said.stdout.splitlines()[2:4])
    assert first > second >= 0
    assert not (folder / "runs" / "lnr_mine" / "stage2").exists()
    several = type_lnr(folder, "--what_if", "--threshold=1,3", "--imbalance=4,8", "--out=several")
    assert several.returncode == 0, several.stderr
    parts = several.stdout.split("\n\n")
    assert parts[::2] == ["imbalance 4:", "imbalance 8:"]
    assert all(part.startswith("| t | flips expected") for part in parts[1::2])
    planned = type_lnr(folder, "--dry_run", "--out=other")
    assert planned.returncode == 0, planned.stderr
    assert "nothing was trained" in planned.stdout


@pytest.mark.slow
def test_stage_2_may_see_augmented_images(folder):
    typed = ("--methods=mislas,lnr", "--threshold=0.5", "--flip=0.5", "--stage2=augmented", "--num_runs=2", "--width=2")
    said = type_lnr(folder, *typed)
    assert said.returncode == 0, said.stderr
    assert "stage 2, on features computed anew of augmented images: 2 settings" in said.stderr
    assert "stage 2: 4 models trained in" in said.stdout
    table = (folder / "runs" / "lnr_mine" / "table.md").read_text()
    assert "Stage 2 (augmented)" in table
    assert "augmented by flip, batch norm not shifted" in table


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--imbalance=0.5",), "--imbalance=0.5: must be 1 or more, or 0"),
        (("--imbalance=1e4",), "--imbalance=10000: leaves a class without an example"),
        (("--methods=smote",), "--methods=smote: give some of ce, mixup"),
        (("--threshold=inf",), "--threshold=inf"),
        (("--selection_share=0",), "--selection_share=0: is none of the"),
        (("--tail=long",), "--tail=long: must be one of exp, step"),
        (("--shift_bn",), "--shift_bn: cached features have no batches to shift by; give --stage2=augmented too"),
        (("--shot_classes=1,4",), "--shot_classes=1,4: goes beyond the 3 classes; lower it"),
        (("--dropout=0,0.1",), "--dropout=0,0.1: takes one value here"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, typed, said):
    found = type_lnr(folder, *typed)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_several_imbalances_are_laid_side_by_side(folder):
    said = type_lnr(folder, "--imbalance=4,8", "--threshold=0.5,1.5", "--methods=mislas,lnr,ce")
    assert said.returncode == 0, said.stderr
    out = folder / "runs" / "lnr_mine"
    for imbalance in (4, 8):
        assert (out / f"imbalance={imbalance}" / "table.md").stat().st_size
        assert f"imbalance {imbalance}: lnr at t = " in said.stdout
    rows = (out / "imbalances.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2
    assert [float(run_group) for run_group in rows[1].split(",")[:2]] == [4, 0.5]
    table = (out / "imbalances.md").read_text()
    assert all(f"| {imbalance} | {n} | hindsight |" in table for imbalance, n in ((4, 112), (8, 94)))
    assert (out / "imbalances.png").stat().st_size
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="lnr")
    assert again.returncode == 0, again.stderr
    assert (out / "imbalances.csv").read_text().splitlines() == rows
    told = type_lnr(folder, "--imbalance=4,1e4", "--out=other")
    assert told.returncode == 2
    assert "--imbalance=10000: leaves a class without an example" in told.stderr
    assert not (folder / "other").exists()
