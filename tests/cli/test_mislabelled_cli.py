"""``python -m jaxgen.mislabelled`` as a user types it."""

import csv

import numpy as np
import pytest
from PIL import Image

from jaxgen import load_scores
from support.commands import type_in
from support.data import blobs

FLAGS = ("--dataset=npz:mine.npz", "--hidden=8", "--epochs=8", "--batch_size=8", "--learning_rate=0.1")
FLAGS += ("--num_runs=10", "--width=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mislabelled")
    images, labels = blobs(120)
    images[np.arange(120), labels // 4, labels % 4] = 255
    labels[:6] = (labels[:6] + 1) % 3
    np.savez(folder / "mine.npz", images=images, labels=labels, class_names=["a", "b", "c"])
    (folder / "few.csv").write_text("0\n1\n2\n")
    return folder


def type_search(folder, *typed):
    return type_in(folder, *FLAGS, *typed, entry="mislabelled")


@pytest.mark.slow
def test_a_search_ranks_all_examples_and_is_not_trained_twice(folder):
    said = type_search(folder)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("10 models trained in")
    assert "estimated to be mislabelled" in said.stdout
    out = folder / "runs" / "mislabelled_mine"
    with open(out / "mislabelled.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(place) for place in range(1, 121)]
    assert {row["id"] for row in rows} == {str(place) for place in range(120)}
    assert sum(int(row["id"]) < 6 for row in rows[:6]) >= 5
    assert {"label", "suggested", "score", "stderr", "heldout_n", "scores", "memorization"} <= rows[0].keys()
    assert all(row["heldout_n"] == "2" for row in rows)
    with Image.open(out / "mislabelled.png") as picture:
        assert picture.width > 1000
    assert load_scores(out / "cscores.npz").more["pred_probs"].shape == (120, 3)
    assert (out / "table.md").read_text().strip() in said.stdout
    again = type_in(folder, f"--flagfile={out}/flags.cfg", "--num_shown=5", "--score=scores", entry="mislabelled")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("0 models trained")
    assert "ranked by scores" in again.stdout


@pytest.mark.slow
def test_a_league_ends_with_its_files_and_is_not_trained_twice(folder):
    said = type_search(folder, "--inject=symmetric:0.2", "--repeats=2")
    assert said.returncode == 0, said.stderr
    out = folder / "runs" / "mislabelled_mine_league"
    for name in ("league.csv", "counts.csv", "league.png", "table.md", "flags.cfg"):
        assert (out / name).stat().st_size
        assert name in said.stdout
    before = (out / "league.csv").read_bytes()
    again = type_in(folder, f"--flagfile={out}/flags.cfg", entry="mislabelled")
    assert again.returncode == 0, again.stderr
    assert "models/s" not in again.stderr
    assert (out / "league.csv").read_bytes() == before


@pytest.mark.slow
def test_a_plan_trains_nothing(folder):
    said = type_search(folder, "--dry_run", "--out=planned")
    assert said.returncode == 0, said.stderr
    assert "nothing was trained" in said.stdout


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--inject=loud:0.1",), "--inject=loud:0.1: unknown noise; give one of symmetric"),
        (("--inject=symmetric:1.5",), "--inject=symmetric:1.5: the rate must lie strictly between 0 and 1"),
        (
            ("--inject=symmetric:0.1,symmetric:0.1",),
            "--inject=symmetric:0.1,symmetric:0.1: give each kind and rate once",
        ),
        (("--inject=matrix:none.csv",), "--inject=matrix:none.csv: cannot be read"),
        (("--inject=file:none.csv",), "--inject=file:none.csv: there is no such file"),
        (("--inject=file:few.csv", "--dry_run"), "--inject=file:few.csv: has 3 labels"),
        (("--threshold_samples=99999999",), "--threshold_samples=99999999: must be 0 (none), or 2 to 10,000"),
        (("--inject=file:few.csv",), "--inject=file:few.csv: has 3 labels, and mine 120 training examples"),
        (("--repeats=3",), "--repeats=3: repeats draws of --inject, which is not given"),
        (("--score=loss",), "--score=loss: unknown; give one of scores"),
        (("--score=csl", "--track=none"), "--score=csl: is not tracked; add dynamics to --track"),
        (("--score=grand",), "--score=grand: is not tracked; add grand to --track"),
        (("--score=pixel_lof_class",), "--score=pixel_lof_class: is not tracked; add pixel_lof to --track"),
        (("--num_examples=4", "--subset_ratios=0.5"), "a subset needs 3 or more"),
        (("--dropout=0,0.1",), "--dropout=0,0.1: takes one value here"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, typed, said):
    found = type_search(folder, *typed, "--out=refused")
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (folder / "refused").exists()
