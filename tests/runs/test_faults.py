"""What days of training meet, done for real: disks that are full, read-only or gone, two drivers, other clocks and
versions, kills one after another."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from jaxgen import load_scores
from jaxgen.errors import FailedRuns
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, cut_chunks
from jaxgen.runs.store import Store, open_store
from support.commands import Command, command, type_in
from support.cscore_jobs import LONG, SMALL, scores_equal, scores_of
from support.data import make_data
from support.stores import plan, rows, store

# Minutes of random kills: `SOAK=60 python -m pytest -m slow tests/runs/test_faults.py -k soak` is an hour.
SOAK = float(os.environ.get("SOAK", "2"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A job of some seconds, undisturbed."""
    return scores_of(tmp_path_factory.mktemp("whole"), *LONG)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of two megabytes."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)], capture_output=True)
    if made.returncode:
        pytest.skip("only root may mount a file system")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_a_disk_that_fills_up_stops_the_job_and_with_room_it_goes_on(small_disk):
    kept = Store(small_disk / "store", plan())
    kept.folder.mkdir()
    room = []

    def train(chunk, report):
        arrays = rows(chunk)
        # Half a megabyte a chunk: four fit.
        return {**arrays, "more": np.zeros((len(arrays["run"]), 250_000), np.uint8)} if not room else arrays

    def launch():
        train_chunks(kept, cut_chunks(kept.missing(), 2), train, {"a": 1.0, "b": 1.0}, resume="again", shown=False)

    with pytest.raises(Exception, match=r"cannot be written \(.*No space left.*; 8 of 20 models are done and kept"):
        launch()
    # Nothing half-written is left, and what there is can be read.
    assert not list(kept.folder.rglob("*.part"))
    done = [Chunk(run_group, *span) for run_group in kept.plan.run_groups for span in kept.spans(run_group)]
    assert len(done) == 4
    for chunk in done:
        kept.read(chunk)
    room.append(True)
    launch()
    assert not any(kept.missing().values())


def test_a_job_on_a_disk_too_small_says_so_before_it_trains(small_disk):
    make_data(small_disk)
    said = type_in(small_disk, *SMALL)
    assert said.returncode == 2
    assert "--out=out: the runs need " in said.stderr
    assert "make room or choose another folder" in said.stderr


@pytest.mark.parametrize("fault", ["vanished", "read-only"])
def test_a_store_that_is_lost_on_the_way_is_one_line(small_disk, fault):
    kept = Store(small_disk / "store", plan())
    kept.folder.mkdir()

    def train(chunk, report):
        if chunk.start == 4:
            if fault == "vanished":
                shutil.rmtree(kept.folder)
                kept.folder.write_text("")
            else:
                subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        return rows(chunk)

    with pytest.raises(
        Exception, match=r"^--out=.*: cannot be written \(.*models are done and kept; make room or move"
    ):
        train_chunks(kept, cut_chunks(kept.missing(), 2), train, {"a": 1.0, "b": 1.0}, resume="again", shown=False)


@pytest.mark.slow
def test_two_drivers_of_one_store_end_with_the_same_arrays(tmp_path, whole):
    make_data(tmp_path)
    running = [Command(tmp_path, *LONG) for _ in range(2)]
    said = [each.result() for each in running]
    assert [each.returncode for each in said] == [0, 0], said
    scores_equal(whole, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.parametrize("hours", [-30 * 24, 30 * 24])
def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch, hours):
    kept, now, began = store(tmp_path), time.time, time.time()
    # A writer of another driver is at work; one that was killed long ago is not.
    (kept.folder / "a").mkdir()
    at_work, left = kept.folder / "a" / ".here.part", kept.folder / "a" / ".gone.part"
    at_work.touch()
    left.touch()
    os.utime(left, (began - 10**5, began - 10**5))

    def train(chunk, report):
        if chunk.start:
            monkeypatch.setattr("time.time", lambda: now() + 3600 * hours)
        return rows(chunk)

    kept.verify(lambda line: None)
    assert at_work.exists()
    assert not left.exists()
    train_chunks(kept, cut_chunks(kept.missing(), 4), train, {"a": 1.0, "b": 1.0}, resume="again", shown=True)
    kept.verify(lambda line: pytest.fail(line))
    assert not any(kept.missing().values())


@pytest.mark.slow
def test_other_versions_are_told_and_another_numerics_version_is_refused(tmp_path):
    make_data(tmp_path)
    assert type_in(tmp_path, *SMALL).returncode == 0
    [path] = tmp_path.glob("out/store/*/plan.json")
    told = json.loads(path.read_text())
    assert {"python", "jax", "jaxlib", "numpy"} <= told["versions"].keys()
    told["versions"] |= {"jax": "0.9.0", "python": "3.10.1"}
    path.write_text(json.dumps(told))
    # Nothing is trained: nothing to be told.
    assert "other versions" not in type_in(tmp_path, *SMALL).stderr
    more = type_in(tmp_path, *SMALL, "--num_runs=20")
    assert more.returncode == 0, more.stderr
    assert "the models kept here were trained by other versions (python 3.10.1 then, 3." in more.stderr
    assert "jax 0.9.0 then, " in more.stderr
    # A version whose numbers are others has another identity.
    identity = {**told["identity"], "the numerics version": "4"}
    other = open_store(tmp_path / "other" / "store", plan(**{"the numerics version": "4"}), 0)
    other.record_settings({"width": 1})
    other.write(Chunk("a", 0, 2), rows(Chunk("a", 0, 2)))
    assert identity != told["identity"]
    with pytest.raises(Exception, match="the numerics version is 4 there and absent here"):
        open_store(tmp_path / "other" / "store", plan(), 0)


def test_a_program_that_fails_leaves_the_others_done(tmp_path, monkeypatch):
    """Two programs, of which the first always fails: the second is trained, and the exit code is 1."""
    from jaxgen import cscore
    from jaxgen.jobs.trainer import Trainer

    make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    train = Trainer.train

    def fail_with_sgd(self, chunk, *rest):
        if "sgd" in chunk.run_group:
            raise ZeroDivisionError("a fault of ours")
        return train(self, chunk, *rest)

    monkeypatch.setattr(Trainer, "train", fail_with_sgd)
    typed = ["--dataset=npz:mine.npz", "--subset_ratios=0.5", "--num_runs=4", "--hidden=8", "--epochs=4", "--width=2"]
    typed += ["--optimizer=sgd,adam", "--out=out"]
    assert cscore.main(typed) == FailedRuns.exit_code == 1
    done = {path.parent.name for path in tmp_path.glob("out/store/*/*/*.npz")}
    assert done == {"ratio_0.5,optimizer=adam"}
    assert list(tmp_path.glob("out/store/*/*/*.failed.txt"))
    monkeypatch.setattr(Trainer, "train", train)
    assert cscore.main(typed) == 0
    assert not list(tmp_path.glob("out/store/*/*/*.failed.txt"))


@pytest.mark.slow
def test_twenty_kills_in_a_row_cost_nothing_but_time(tmp_path, whole):
    make_data(tmp_path)
    moments, kills = random.Random(0), 0
    while kills < 20:
        # What is done is thrown away now and then, so that there is always something to kill.
        if kills % 5 == 4:
            for path in sorted(tmp_path.glob("out/store/*/*/*.npz"))[::2]:
                path.unlink()
        process = command(tmp_path, *LONG)
        try:
            process.wait(timeout=moments.uniform(1, 9))
            for path in sorted(tmp_path.glob("out/store/*/*/*.npz"))[::2]:
                path.unlink()
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert command(tmp_path, *LONG).wait(300) == 0
    scores_equal(whole, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_a_soak_of_random_kills_of_two_shares(tmp_path, whole):
    """Two shares of a job are killed at random and begun again, their chunks lost and damaged, for `SOAK` minutes."""
    make_data(tmp_path)
    moments, until, kills, rounds = random.Random(1), time.monotonic() + 60 * SOAK, 0, 0
    while time.monotonic() < until:
        running = {index: command(tmp_path, *LONG, f"--shard={index}/2") for index in range(2)}
        while running:
            # In the middle of starting, of compiling, of training and of writing.
            time.sleep(moments.uniform(0.2, 10))
            index = moments.choice(sorted(running))
            process = running.pop(index)
            if process.poll() is None:
                process.send_signal(moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                process.wait(60)
                kills += 1
                running[index] = command(tmp_path, *LONG, f"--shard={index}/2")
            else:
                assert process.returncode == 0, process.communicate()
        assert type_in(tmp_path, *LONG, "--aggregate_only").returncode == 0
        scores_equal(whole, load_scores(tmp_path / "out" / "cscores.npz"))
        rounds += 1
        for path in tmp_path.glob("out/store/*/*/*.npz"):
            fate = moments.random()
            if fate < 0.5:
                path.unlink()
            elif fate < 0.7:
                path.write_bytes(path.read_bytes()[: moments.randrange(300)])
        (tmp_path / "out" / "cscores.npz").unlink()
    print(f"{kills} kills in {rounds} rounds of {SOAK:g} minutes")
    assert kills
