"""Plans, the store and the launcher: done work is never lost, never done twice, and never mixed."""

import json
import os
import re
import signal
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import FailedRuns, Interrupted, UserError
from jaxgen.runs import devices
from jaxgen.runs.launch import train_chunks
from jaxgen.runs.plan import Chunk, Plan, Span, cut_chunks, gaps
from jaxgen.runs.progress import ProgressBar
from jaxgen.runs.run_cache import RunCache
from jaxgen.runs.signals import SIGNALS, Stop
from jaxgen.runs.store import DamagedChunk, open_store
from support.forging import MakesFolder
from support.stores import IDENTITY, plan, rows, store


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([], [(0, 10)]),
        ([(0, 10)], []),
        ([(0, 4), (6, 10)], [(4, 6)]),
        ([(2, 4)], [(0, 2), (4, 10)]),
        ([(0, 20)], []),
        ([(8, 12)], [(0, 8)]),
        ([(15, 20)], [(0, 10)]),
    ],
)
def test_gaps_are_what_is_wanted_and_not_done(done, missing):
    assert list(gaps([Span(*span) for span in done], 10)) == [Span(*span) for span in missing]


def test_chunks_cover_what_is_missing_low_runs_first():
    chunks = cut_chunks({"a": [Span(0, 5), Span(8, 9)], "b": [Span(2, 4)]}, 2)
    assert chunks == [Chunk("a", 0, 2), Chunk("a", 2, 4), Chunk("b", 2, 4), Chunk("a", 4, 5), Chunk("a", 8, 9)]


def test_the_identity_decides_the_digest_and_the_number_of_runs_does_not():
    assert plan(10).digest == plan(99).digest
    assert plan().digest != plan(**{"--seed": "1"}).digest


def test_what_is_written_is_read(tmp_path):
    kept = store(tmp_path)
    chunk = Chunk("a", 3, 7)
    kept.write(chunk, rows(chunk))
    assert kept.spans("a") == [Span(3, 7)]
    for name, array in rows(chunk).items():
        np.testing.assert_array_equal(kept.read(chunk)[name], array)
    assert kept.missing() == {"a": [Span(0, 3), Span(7, 10)], "b": [Span(0, 10)]}


def test_runs_come_in_order_and_only_those_wanted(tmp_path):
    kept = store(tmp_path, runs=6)
    for span in ((4, 8), (0, 2), (2, 4)):
        kept.write(Chunk("a", *span), rows(Chunk("a", *span)))
    read = np.concatenate([arrays["run"] for arrays in kept.runs("a")])
    np.testing.assert_array_equal(read, np.arange(6))


def test_overlapping_chunks_are_used_once(tmp_path):
    kept = store(tmp_path)
    for span in ((0, 4), (2, 6), (4, 6)):
        kept.write(Chunk("a", *span), rows(Chunk("a", *span)))
    assert kept.spans("a") == [Span(0, 4), Span(4, 6)]


def test_any_flipped_bit_is_found(tmp_path):
    """Some make a zip archive look encrypted, or compressed in an unknown way."""
    kept, chunk = store(tmp_path), Chunk("a", 0, 2)
    kept.write(chunk, rows(chunk))
    content, path = kept.path(chunk).read_bytes(), kept.path(chunk)
    rng, unseen = np.random.default_rng(0), 0
    for bit in rng.choice(8 * len(content), 1500, replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = kept.read(chunk)
        except DamagedChunk:
            continue
        unseen += 1
        for name, array in rows(chunk).items():
            np.testing.assert_array_equal(found[name], array)
    # Dates and attributes of the archive's members mean nothing to anybody.
    assert unseen < 500


@pytest.mark.parametrize("place", [("b", 2, 4), ("a", 4, 6), ("a", 2, 5)])
def test_a_chunk_in_another_ones_place_is_found(tmp_path, place):
    kept, chunk = store(tmp_path), Chunk("a", 2, 4)
    kept.write(chunk, rows(chunk))
    wrong = Chunk(*place)
    kept.path(wrong).parent.mkdir(exist_ok=True)
    kept.path(wrong).write_bytes(kept.path(chunk).read_bytes())
    with pytest.raises(DamagedChunk, match="checksum"):
        kept.read(wrong)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "garbage", "foreign"])
def test_a_damaged_chunk_is_named_and_set_aside(tmp_path, damage):
    kept = store(tmp_path)
    whole, broken = Chunk("a", 0, 2), Chunk("a", 2, 4)
    for chunk in (whole, broken):
        kept.write(chunk, rows(chunk))
    path = kept.path(broken)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[content.index(b"bits.npy") + 120] ^= 1
    elif damage == "foreign":
        other = store(tmp_path / "other", **{"--seed": "1"})
        other.write(broken, rows(broken))
        content = other.path(broken).read_bytes()
    else:
        content = {"cut": content[: len(content) // 2], "empty": b"", "garbage": os.urandom(300)}[damage]
    path.write_bytes(content)
    with pytest.raises(DamagedChunk):
        kept.read(broken)
    said = []
    kept.verify(said.append)
    assert len(said) == 1
    assert path.name in said[0]
    assert "trained again" in said[0]
    assert kept.spans("a") == [Span(0, 2)]
    assert path.with_suffix(".npz.damaged").exists()


def test_damage_found_late_is_one_line(tmp_path):
    kept = store(tmp_path)
    kept.write(Chunk("a", 0, 2), rows(Chunk("a", 0, 2)))
    kept.path(Chunk("a", 0, 2)).write_bytes(b"x")
    with pytest.raises(UserError, match=r"000000-000001\.npz: damaged"):
        list(kept.runs("a"))


def test_unfinished_writes_are_not_seen(tmp_path):
    kept = store(tmp_path)
    chunk = Chunk("a", 0, 2)
    kept.write(chunk, rows(chunk))
    (kept.folder / "a" / ".000002-000003.npz.123.part").write_bytes(b"half")
    assert kept.spans("a") == [Span(0, 2)]


def test_no_pickle_is_ever_loaded(tmp_path):
    kept = store(tmp_path)
    chunk = Chunk("a", 0, 1)
    kept.write(chunk, rows(chunk))
    np.savez(kept.path(chunk), **{**rows(chunk), "bits": np.array([MakesFolder(tmp_path / "called")], dtype=object)})
    with pytest.raises(DamagedChunk):
        kept.read(chunk)
    assert not (tmp_path / "called").exists()
    np.load(kept.path(chunk), allow_pickle=True)["bits"]
    assert (tmp_path / "called").exists(), "who loads it runs it"


def test_runs_of_other_flags_are_refused_by_name(tmp_path):
    kept = store(tmp_path)
    kept.record_settings({"width": 4})
    kept.write(Chunk("a", 0, 2), rows(Chunk("a", 0, 2)))
    with pytest.raises(UserError, match=r"--epochs is 3 there and 5 here"):
        store(tmp_path, **{"--epochs": "5"})
    assert store(tmp_path, runs=99).read_settings() == {"width": 4}


def test_a_job_that_came_to_nothing_does_not_bar_another(tmp_path):
    kept = store(tmp_path)
    kept.record_settings({"width": 4})
    store(tmp_path, **{"--epochs": "5"})
    kept.write(Chunk("a", 0, 2), rows(Chunk("a", 0, 2), finite=False))
    store(tmp_path, **{"--epochs": "5"})


def test_the_first_writer_settles_the_width(tmp_path):
    kept = store(tmp_path)
    assert kept.record_settings({"width": 4}) == store(tmp_path).record_settings({"width": 8}) == {"width": 4}
    assert not list(kept.folder.glob(".*"))


def test_runs_without_their_settings_are_not_mixed_with_others(tmp_path):
    kept = store(tmp_path)
    kept.write(Chunk("a", 0, 2), rows(Chunk("a", 0, 2)))
    with pytest.raises(UserError, match=r"plan.json: cannot be read, .*remove"):
        kept.read_settings()


def test_what_killed_writers_left_is_swept_once_it_is_old(tmp_path):
    kept = store(tmp_path)
    (kept.folder / "a").mkdir()
    old, young = (kept.folder / "a" / f".{name}.npz.1.part" for name in ("old", "young"))
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    kept.verify(print)
    assert young.exists()
    assert not old.exists()


def test_each_program_of_a_job_has_settings_of_its_own(tmp_path):
    kept = store(tmp_path)
    assert kept.read_settings("optimizer=adam") == {}
    kept.record_settings({"width": 4}, "optimizer=adam")
    kept.record_settings({"width": 8}, "optimizer=sgd")
    assert kept.read_settings("optimizer=adam") == {"width": 4}
    assert kept.read_settings("optimizer=sgd") == {"width": 8}
    assert json.loads((kept.folder / "plan.json").read_text())["identity"] == IDENTITY


def test_settings_change_only_where_that_is_meant(tmp_path):
    kept = store(tmp_path)
    kept.record_settings({"width": 4})
    assert kept.record_settings({"width": 2}) == {"width": 4}
    assert kept.record_settings({"width": 2}, replace=True) == kept.read_settings() == {"width": 2}


def test_a_plan_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "store" / "abc" / "a").mkdir(parents=True)
    (tmp_path / "store" / "abc" / "plan.json").write_text("{")
    (tmp_path / "store" / "abc" / "a" / "000000-000001.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"abc/plan.json cannot be read"):
        store(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"identity": {}}'])
def test_damaged_settings_of_the_same_job_are_named(tmp_path, content):
    kept = store(tmp_path)
    (kept.folder / "plan.json").write_text(content)
    with pytest.raises(UserError, match=r"plan.json: cannot be read, .*remove"):
        kept.read_settings()


def test_a_disk_too_small_is_refused(tmp_path):
    with pytest.raises(UserError, match="make room"):
        open_store(tmp_path / "store", plan(), 10**18)


def test_an_out_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        open_store(tmp_path / "out" / "store", plan(), 0)


def launch(kept, train, chunks=None, stop=None):
    chunks = cut_chunks(kept.missing(), 4) if chunks is None else chunks
    work = dict.fromkeys(kept.plan.run_groups, 1.0)
    return train_chunks(kept, chunks, train, work, resume="again", shown=False, stop=stop)


def test_a_chunk_that_always_fails_is_named_and_the_others_are_done(tmp_path):
    kept, seen = store(tmp_path), []

    def fail_at(bad):
        def train(chunk, report):
            report(3.0)
            seen.append(chunk)
            if chunk == bad:
                raise RuntimeError("out of luck")
            return rows(chunk)

        return train

    bad = cut_chunks(kept.missing(), 4)[2]
    with pytest.raises(FailedRuns) as caught:
        launch(kept, fail_at(bad))
    assert caught.value.exit_code == 1
    said = str(caught.value)
    assert said.startswith(
        f"{bad.stop - bad.start} models failed, of {bad.run_group} {bad.start} to {bad.stop - 1} first ("
    )
    assert "RuntimeError: out of luck" in said
    assert said.endswith("all others are done and kept. To try them again: again")
    assert "in train" in kept.path(bad).with_suffix(".failed.txt").read_text()
    # It was tried again, after all others.
    assert [chunk == bad for chunk in seen].count(True) == 2
    assert seen[-1] == bad
    assert kept.missing() == {
        run_group: [Span(bad.start, bad.stop)] if run_group == bad.run_group else []
        for run_group in kept.plan.run_groups
    }
    seen.clear()
    launch(kept, fail_at(None))
    assert seen == [bad]
    assert not any(kept.missing().values())


def test_a_chunk_that_fails_once_is_done_in_the_end(tmp_path):
    kept, tried = store(tmp_path), set()

    def train(chunk, report):
        if chunk.start == 4 and chunk not in tried:
            tried.add(chunk)
            raise MemoryError("no luck this time")
        return rows(chunk)

    launch(kept, train)
    assert not any(kept.missing().values())
    assert not list(kept.folder.rglob("*.failed.txt"))


def test_where_all_fail_the_rest_is_not_tried(tmp_path):
    kept, seen = store(tmp_path), []

    def train(chunk, report):
        seen.append(chunk)
        raise ValueError("a mistake of the program")

    with pytest.raises(FailedRuns, match="the first to be trained all fail"):
        launch(kept, train)
    assert len(seen) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_chunk_with_word_of_how_to_go_on(tmp_path, number):
    kept, seen = store(tmp_path), []
    before = [signal.getsignal(each) for each in SIGNALS]

    def stopped_at_second(chunk, report):
        if seen:
            os.kill(os.getpid(), number)
        seen.append(chunk)
        return rows(chunk)

    with pytest.raises(Interrupted, match=r"8 of 20 models are done and kept\. To go on: again") as caught:
        launch(kept, stopped_at_second)
    assert caught.value.exit_code == 130
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert kept.spans("a") == kept.spans("b") == [Span(0, 4)]


def test_a_second_signal_stops_at_once(tmp_path):
    kept, reached = store(tmp_path), []

    def insistent(chunk, report):
        for number in SIGNALS:
            os.kill(os.getpid(), number)
        reached.append(chunk)

    with pytest.raises(Interrupted, match=r"0 of 20 models"):
        launch(kept, insistent)
    assert not reached


def test_a_chunk_that_heeds_the_stop_is_told_to_be_kept_in_its_middle(tmp_path):
    kept, stop = store(tmp_path), Stop()

    def heeding(chunk, report):
        os.kill(os.getpid(), signal.SIGINT)
        checkpoint = kept.checkpoint(chunk, 10, stop)
        checkpoint.last_saved -= 60
        checkpoint.offer(lambda: ({"step": np.asarray(3)}, jnp.arange(4)))
        pytest.fail("the user wants to stop")

    with pytest.raises(Interrupted, match=r"0 of 20 models .* kept, and unfinished ones in their middle\. To go on"):
        launch(kept, heeding, stop=stop)
    host, _ = kept.checkpoint(Chunk("a", 0, 4), 10).restore(jnp.zeros(4, int))
    assert host["step"] == 3


def test_models_still_to_come_of_other_cells_do_not_count_as_done(tmp_path):
    kept = store(tmp_path)
    chunks = cut_chunks({"a": [Span(0, 10)]}, 4)

    def stopped(chunk, report):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="0 of 20 models are done"):
        launch(kept, stopped, chunks)


def test_what_cannot_be_written_is_one_line_and_the_rest_is_kept(tmp_path):
    kept, seen = store(tmp_path), []

    def full_at_second(chunk, report):
        if seen:
            raise OSError(28, "No space left on device")
        seen.append(chunk)
        return rows(chunk)

    with pytest.raises(UserError, match=r"No space left on device.*4 of 20 models are done and kept"):
        launch(kept, full_at_second)


def test_a_programs_settings_are_not_made_up_beside_its_runs(tmp_path):
    kept = open_store(tmp_path / "store", Plan(IDENTITY, {"ratio_0.5,optimizer=[x]": 10, "ratio_0.5,y": 10}), 0)
    kept.record_settings({"width": 4}, "optimizer=[x]")
    kept.write(Chunk("ratio_0.5,optimizer=[x]", 0, 4), rows(Chunk("a", 0, 4)))
    (kept.folder / "plan-optimizer=[x].json").unlink()
    assert kept.read_settings("y") == {}
    with pytest.raises(UserError, match="how the runs beside it were trained is unknown"):
        kept.read_settings("optimizer=[x]")


def test_a_thread_that_may_not_handle_signals_can_train(tmp_path):
    kept = store(tmp_path)
    thread = threading.Thread(target=launch, args=(kept, lambda chunk, report: rows(chunk)))
    thread.start()
    thread.join()
    assert not any(kept.missing().values())


def test_plan_json_tells_what_is_in_the_folder(tmp_path):
    kept = store(tmp_path)
    kept.record_settings({"width": 4})
    written = json.loads((kept.folder / "plan.json").read_text())
    assert written.pop("versions").keys() >= {"python", "jax", "numpy"}
    assert written == {"identity": IDENTITY, "settings": {"width": 4}}


def test_the_machine_has_cores_and_memory():
    assert devices.available_cores() >= 1
    assert devices.available_memory() > 10**7


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="--num_devices=99"):
        devices.start_devices(99)


def test_the_bar_ends_at_its_total_and_not_beyond(capsys):
    bar = ProgressBar(0.3, 8, 5, shown=True)
    for _ in range(3):
        bar.work(0.1 + 1e-9)
        bar.models(1)
    bar.close()
    said = capsys.readouterr().err
    assert "100%" in said
    assert "8/8 models" in said
    assert "-" not in said


def test_earlier_work_does_not_count_for_the_time_left():
    bar = ProgressBar(100, 1, 0, shown=True)
    bar.bar.start_t -= 10
    bar.work(80, earlier=True)
    bar.work(10)
    told = bar.bar.format_dict
    assert told["n"] == 90
    assert told["n"] - told["initial"] == 10
    np.testing.assert_allclose(told["elapsed"], 10, atol=1)
    # Ten units in ten seconds: the other ten take as long.
    assert re.search(r"\[00:1\d < 00:1\d\]|\[00:1\d < 00:0\d\]", str(bar.bar))
    bar.close()


def test_a_bar_that_goes_on_counts_what_was_done_before(tmp_path, monkeypatch):
    kept, shown = store(tmp_path), []

    class Watched(ProgressBar):
        def close(self):
            shown.append((self.bar.n, self.bar.total, self.bar.initial))
            super().close()

    monkeypatch.setattr("jaxgen.runs.launch.ProgressBar", Watched)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    chunks = cut_chunks(kept.missing(), 4)
    work = dict.fromkeys(kept.plan.run_groups, 2.0)

    def train(chunk, report):
        report(2.0 * (chunk.stop - chunk.start))
        return rows(chunk)

    train_chunks(kept, chunks[:2], train, work, resume="again", shown=True)
    train_chunks(kept, cut_chunks(kept.missing(), 4), train, work, resume="again", shown=True)
    done = 2.0 * sum(chunk.stop - chunk.start for chunk in chunks[:2])
    assert shown[0] == (done, 40.0, 0.0)
    assert shown[-1] == (40.0, 40.0, done)


# A run of `rows` has 20 bytes.
@pytest.mark.parametrize("max_bytes", [0, 100, 10**6])
@pytest.mark.parametrize("block_bytes", [1, 200, 10**6])
def test_cached_runs_are_those_of_the_store(tmp_path, max_bytes, block_bytes):
    kept = store(tmp_path, runs=30)
    for chunk in cut_chunks({run_group: [Span(0, 33)] for run_group in "ab"}, 4):
        kept.write(chunk, rows(chunk))
    read, reads = kept.read, []
    kept.read = lambda chunk, **options: reads.append(chunk) or read(chunk, **options)
    cache = RunCache(kept, max_bytes, block_bytes)
    first = cache("a")
    # Another reader begins when one has come as far as the first block, and is done before it goes on.
    begun = [next(first)]
    seen = [("a", list(cache("a"))), ("a", begun + list(first)), ("b", list(cache("b"))), ("a", list(cache("a")))]
    for run_group, blocks in seen:
        arrays = {name: np.concatenate([block[name] for block in blocks]) for name in ("run", "loss")}
        assert arrays["run"].tolist() == list(range(30)), run_group
        np.testing.assert_array_equal(arrays["loss"], np.arange(30) / 7)
    cached = [block for blocks in cache.cached.values() for block in blocks]
    assert sum(array.nbytes for block in cached for array in block.values()) <= max_bytes
    assert sum(chunk.run_group == "b" for chunk in reads) == 8
    list(cache("b"))
    assert sum(chunk.run_group == "b" for chunk in reads) == (8 if max_bytes == 10**6 else 16)


def test_blocks_are_of_many_small_chunks_and_of_one_large_one(tmp_path):
    kept = store(tmp_path, runs=30)
    for chunk in [Chunk("a", 0, 2), Chunk("a", 2, 4), Chunk("a", 4, 24), Chunk("a", 24, 30)]:
        kept.write(chunk, rows(chunk))
    assert [len(block["run"]) for block in RunCache(kept, block_bytes=80)("a")] == [4, 20, 6]


@pytest.mark.parametrize(("asked", "typed", "threads"), [(0, None, None), (2, None, "2"), (2, "3", "3")])
def test_a_process_of_few_devices_has_few_threads(monkeypatch, asked, typed, threads):
    for name in ("NPROC", "PJRT_NPROC"):
        monkeypatch.delenv(name, raising=False)
    if typed:
        monkeypatch.setenv("PJRT_NPROC", typed)
    with devices.limited_threads(asked):
        assert os.environ.get("PJRT_NPROC") == threads
    assert os.environ.get("PJRT_NPROC") == typed
