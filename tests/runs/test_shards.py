"""Shares of a job: who trains what, and that all shares together are the job."""

import csv
import itertools
import subprocess
import sys

import numpy as np
import pytest

from jaxgen import UserError, load_scores
from jaxgen.config import ComputeSpec
from jaxgen.runs.plan import Plan, Span
from jaxgen.runs.shards import Shard, block_size, read_shard
from support.commands import Command, type_in
from support.cscore_jobs import LONG, SMALL, scores_equal, scores_of
from support.data import blobs, make_data

SPANS = {"a": [Span(0, 3), Span(5, 40)], "b": [], "c": [Span(7, 8), Span(12, 29)]}


def runs_of(spans):
    return {
        run_group: [*itertools.chain.from_iterable(itertools.starmap(range, own))] for run_group, own in spans.items()
    }


@pytest.mark.parametrize(("count", "block"), [(1, 4), (2, 4), (3, 1), (5, 7), (4, 100)])
def test_every_run_is_in_one_share(count, block):
    parts = [runs_of(Shard(index, count).part(SPANS, block)) for index in range(count)]
    for run_group, own in runs_of(SPANS).items():
        assert sorted(itertools.chain.from_iterable(part[run_group] for part in parts)) == own


def test_a_share_has_whole_blocks_whatever_is_missing():
    whole = runs_of(Shard(1, 3).part({"a": [Span(0, 40)], "b": [Span(0, 40)]}, 4))
    assert whole["a"] == [run for run in range(40) if run // 4 % 3 == 1]
    # Of another cell the share has other blocks.
    assert whole["b"] == [run for run in range(40) if run // 4 % 3 == 0]
    rest = runs_of(Shard(1, 3).part({"a": [Span(6, 19)], "b": [Span(39, 40)]}, 4))
    assert rest["a"] == [6, 7, 16, 17, 18]
    assert rest["b"] == [39]


def test_short_jobs_have_blocks_for_all_shares():
    assert block_size(Plan({}, {"a": 100, "b": 100}), 64, read_shard("0/2")) == 64
    assert block_size(Plan({}, {"a": 100, "b": 100}), 64, read_shard("3/10")) == 20
    assert block_size(Plan({}, {"a": 2}), 64, read_shard("3/10")) == 1


@pytest.mark.parametrize("text", ["0", "4/4", "-1/4", "1/0", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UserError, match=r"^--shard=.*: give i/n"):
        ComputeSpec(shard=text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return scores_of(tmp_path_factory.mktemp("whole"), *SMALL)


@pytest.mark.slow
def test_shares_one_after_another_are_the_job(tmp_path, whole):
    make_data(tmp_path)
    for index in range(2):
        said = type_in(tmp_path, *SMALL, f"--shard={index}/3")
        assert said.returncode == 0, said.stderr
        assert f"--shard={index}/3: its share is done; " in said.stderr
        assert "of 30 models are still missing" in said.stderr
        assert not (tmp_path / "out" / "cscores.npz").exists()
        # Nothing of others' is trained by who has nothing left to do.
        again = type_in(tmp_path, *SMALL, f"--shard={index}/3")
        assert again.returncode == 0
        assert again.stderr.splitlines()[-1] == said.stderr.splitlines()[-1]
    early = type_in(tmp_path, *SMALL, "--aggregate_only")
    assert early.returncode == 1
    assert "of 30 models are still missing" in early.stderr
    last = type_in(tmp_path, *SMALL, "--shard=2/3")
    assert last.returncode == 0, last.stderr
    scores_equal(whole, load_scores(tmp_path / "out" / "cscores.npz"))
    # The flags are those of the whole job.
    assert "--shard=\n" in (tmp_path / "out" / "flags.cfg").read_text()


@pytest.mark.slow
def test_shares_at_the_same_time_train_no_run_twice(tmp_path, whole):
    make_data(tmp_path)
    running = [Command(tmp_path, *LONG, f"--shard={index}/2") for index in range(2)]
    said = [command.result() for command in running]
    assert [each.returncode for each in said] == [0, 0], said
    chunks = [path.name for path in (tmp_path / "out" / "store").glob("*/*/*.npz")]
    runs = sum(int(name[7:13]) - int(name[:6]) + 1 for name in chunks)
    assert runs == 30
    done = type_in(tmp_path, *LONG, "--aggregate_only")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 models trained")
    (tmp_path / "alone").mkdir()
    alone = make_data(tmp_path / "alone")
    assert type_in(alone, *LONG).returncode == 0
    scores_equal(load_scores(alone / "out" / "cscores.npz"), load_scores(tmp_path / "out" / "cscores.npz"))


def test_a_target_is_not_shared_out(tmp_path):
    make_data(tmp_path)
    for flag in ("--shard=0/2", "--aggregate_only"):
        said = type_in(tmp_path, *SMALL, flag, "--target_reliability=0.9")
        assert said.returncode == 2
        assert said.stderr.startswith(f"jaxgen.cscore: {flag}: how many runs --target_reliability=0.9 takes")


TRAINING = ("--dataset=npz:mine.npz", "--hidden=16", "--epochs=6", "--batch_size=8", "--learning_rate=0.1")
TRAINING += ("--num_runs=4", "--width=2", "--num_devices=1")
EXPERIMENTS = {
    "randomization": ("--preset=figure1", "--label_noise=0,1"),
    "robustness": ("--corruptions=contrast", "--severities=1"),
    "oversampling": ("--arm=plain,uniform", "--sample_sizes=24,48"),
    "mislabelled": ("--inject=symmetric:0.2,pair:0.2", "--repeats=1", "--num_runs=10"),
    "lnr": ("--imbalance=4,8", "--head_epochs=2", "--methods=mislas,lnr", "--threshold=1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("entry", EXPERIMENTS)
def test_every_experiment_is_shared_out(tmp_path, entry):
    images, labels = blobs(180, side=8)
    tests, test_labels = blobs(60, side=8, seed=1)
    for name in ("whole", "shared"):
        (tmp_path / name).mkdir()
        arrays = {"images": images, "labels": labels, "test_images": tests, "test_labels": test_labels}
        np.savez(tmp_path / name / "mine.npz", class_names=["a", "b", "c"], **arrays)
    typed = (*TRAINING, *EXPERIMENTS[entry], "--out=out")
    said = type_in(tmp_path / "whole", *typed, entry=entry)
    assert said.returncode == 0, said.stderr
    for index in range(2):
        said = type_in(tmp_path / "shared", *typed, f"--shard={index}/2", entry=entry)
        assert said.returncode == 0, said.stderr
        assert bool(said.stdout) == bool(index), said.stderr
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole" / "out").rglob("*.csv"))
    assert files
    for file in files:
        first, second = ((tmp_path / name / file).read_text().splitlines() for name in ("whole", "shared"))
        assert strip(first) == strip(second)


def strip(lines):
    """Rows without seconds."""
    rows = [*csv.reader(lines)]
    left_out = [place for place, name in enumerate(rows[0]) if name == "seconds"]
    return [[run_group for place, run_group in enumerate(row) if place not in left_out] for row in rows]


@pytest.mark.slow
def test_a_table_is_shared_out(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{int(a + b > 1.1)}" for a, b in rng.random((120, 2))]
    for name in ("whole", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").write_text("\n".join(["x,y,label", *rows]) + "\n")
    typed = ("--dataset=csv:table.csv", "--folds=3", "--classifiers=knn,cart", "--num_runs=3", "--out=out")

    def type_table(folder, *more):
        # It starts processes of its own, which a fork may not.
        command = [sys.executable, "-m", "jaxgen.lnr", *typed, *more]
        return subprocess.run(command, cwd=tmp_path / folder, capture_output=True, text=True)

    assert type_table("whole").returncode == 0
    said = [type_table("shared", f"--shard={index}/2") for index in range(2)]
    assert [each.returncode for each in said] == [0, 0], said
    assert "its share is done; 1 of 3 divisions are still missing" in said[0].stderr
    first, second = (
        strip((tmp_path / name / "out" / "results.csv").read_text().splitlines()) for name in ("whole", "shared")
    )
    assert first == second
