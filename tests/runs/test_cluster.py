"""Chunks trained by a pool of workers: how it grows, what a lost worker costs, and that results are the same."""

import collections
import csv
import functools
import os
import pathlib
import random
import signal
import socket
import threading
import time
import types
from contextlib import nullcontext

import numpy as np
import pytest

from jaxgen import load_scores
from jaxgen.errors import FailedRuns, OutOfMemory, UserError
from jaxgen.runs.launch import train_on_cluster
from jaxgen.runs.plan import Chunk, Span, cut_chunks
from jaxgen.runs.ray_cluster import refuse_unreachable, resource_options, worker_slots
from jaxgen.runs.worker import Worker
from jaxgen.runs.worker_pool import REFRESH_SECONDS, ChunkFailed, WorkerPool
from support.commands import command
from support.cscore_jobs import LONG, SMALL, scores_equal
from support.data import make_data
from support.stores import rows, store

LOCAL = ("--launcher=ray", "--ray_address=local", "--ray_cpus=1")


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": {"memory": 1e9, **resources}}


def test_every_node_has_the_workers_that_it_has_room_for():
    nodes = [node(CPU=8.0), node(CPU=2.0), node(CPU=32.0, GPU=4.0), node(CPU=16.0, TPU=4.0), node(False, CPU=64.0)]
    assert worker_slots(nodes, 0) == {("CPU", 8): 1, ("CPU", 2): 1, ("GPU", 1): 4, ("TPU", 4): 1}
    assert worker_slots(nodes, 3) == {("CPU", 3): 2, ("CPU", 2): 1, ("GPU", 1): 4, ("TPU", 4): 1}
    assert worker_slots([node()], 1) == {}
    assert resource_options(("CPU", 3)) == {"num_cpus": 3}
    assert resource_options(("GPU", 1))["num_gpus"] == 1
    assert resource_options(("TPU", 4))["resources"] == {"TPU": 4}


class FakePool:
    """Workers that answer at once, as `train` has it: arrays, a `ChunkFailed`, or None for a worker that was lost."""

    def __init__(self, train, together=2):
        self.train, self.together, self.given, self.seen = train, together, [], []

    def scale_up(self, most):
        pass

    def busy(self):
        return self.given

    def dispatch(self, waiting):
        while waiting and len(self.given) < self.together:
            self.given.append(waiting.popleft())

    def poll(self):
        return iter([0.5] * len(self.given))

    def results(self):
        given, self.given = self.given, []
        for chunk in given:
            self.seen.append(chunk)
            yield chunk, 0.5, self.train(chunk)


def launch(kept, pool):
    work = dict.fromkeys(kept.plan.run_groups, 1.0)
    chunks = cut_chunks(kept.missing(), 4)
    train_on_cluster(kept, chunks, pool, work, keep=lambda chunk, found: found, resume="again", shown=True)


def test_a_chunk_whose_worker_is_lost_is_given_to_another(tmp_path, capsys):
    kept, lost = store(tmp_path), []

    def train(chunk):
        if chunk.start == 4 and len(lost) < 5:
            return lost.append(chunk)
        return rows(chunk)

    launch(kept, FakePool(train))
    assert len(lost) == 5
    assert not any(kept.missing().values())
    assert "20/20 models" in capsys.readouterr().err


def test_a_chunk_that_ends_all_its_workers_is_named_and_the_others_are_done(tmp_path):
    kept = store(tmp_path)
    pool = FakePool(lambda chunk: None if (chunk.run_group, chunk.start) == ("a", 4) else rows(chunk))
    with pytest.raises(
        FailedRuns, match=r"^4 models failed, of a 4 to 7 first \(10 workers were lost while they had it"
    ):
        launch(kept, pool)
    assert kept.missing() == {"a": [Span(4, 8)], "b": []}


def test_a_chunk_that_fails_everywhere_is_named_and_the_others_are_done(tmp_path):
    kept = store(tmp_path)

    def train(chunk):
        bad = chunk.run_group == "b" and chunk.start == 4
        return ChunkFailed("Traceback ...\nValueError: no") if bad else rows(chunk)

    pool = FakePool(train)
    with pytest.raises(FailedRuns, match=r"^4 models failed, of b 4 to 7 first \(ValueError: no; .*failed.txt has all"):
        launch(kept, pool)
    assert kept.missing() == {"a": [], "b": [Span(4, 8)]}
    assert pool.seen.count(next(chunk for chunk in pool.seen if chunk.run_group == "b" and chunk.start == 4)) == 2


class FakeActor:
    """A worker's process: what it is asked, each with what stands for the answer."""

    def __init__(self, *arguments):
        self.asked, self.gone = [], False

    def __getattr__(self, name):
        def remote(*arguments):
            self.asked.append((name, arguments, object()))
            return self.asked[-1][-1]

        method = types.SimpleNamespace(remote=remote)
        method.options = lambda **options: method
        return method

    def answer(self, name):
        """What stands for the answer to the last call of this name."""
        return [answer for asked, _, answer in self.asked if asked == name][-1]

    def count(self, name):
        return sum(asked == name for asked, _, _ in self.asked)


class FakeRay:
    """A node of some cores, whose workers answer what the test says."""

    class Failed(Exception):
        def __init__(self, cause):
            super().__init__("Traceback ...")
            self.cause = cause

    class Lost(Exception):
        pass

    exceptions = types.SimpleNamespace(RayTaskError=Failed, RayError=Lost)

    def __init__(self, cores=2.0):
        self.cores, self.actors, self.said = cores, [], {}

    def put(self, value):
        return value

    def nodes(self):
        return [node(CPU=self.cores)]

    def remote(self, **options):
        def make(*arguments):
            self.actors.append(FakeActor(*arguments))
            return self.actors[-1]

        return lambda worker: types.SimpleNamespace(options=lambda **own: types.SimpleNamespace(remote=make))

    def wait(self, answers, num_returns=1, timeout=None):
        there = [one for one in answers if one in self.said][:num_returns]
        return there, [one for one in answers if one not in there]

    def get(self, answer):
        if isinstance(self.said[answer], Exception):
            raise self.said[answer]
        return self.said[answer]

    def kill(self, actor):
        actor.gone = True


@pytest.fixture
def pool():
    """Two workers, the first laid out."""
    ray = FakeRay()
    pool = WorkerPool(ray, 1, print)
    pool.scale_up(9)
    for actor in ray.actors:
        ray.said[actor.answer("open")] = None
    configure = ray.actors[0].configure

    def microbatch_size(settings):
        answer = configure.remote(settings)
        ray.said[answer] = settings or "found"
        return answer

    ray.actors[0].configure = types.SimpleNamespace(remote=microbatch_size)
    assert pool.configure(None, 9) == "found"
    return pool


def chunks(count):
    return collections.deque(Chunk("a", 2 * i, 2 * i + 2) for i in range(count))


def begin(pool, waiting):
    """Gives the chunks out as soon as both workers are ready."""
    pool.dispatch(waiting)
    second = pool.ray.actors[1]
    assert [arguments for name, arguments, _ in second.asked if name == "configure"] == [("found",)]
    pool.ray.said[second.answer("configure")] = "found"
    pool.dispatch(waiting)


def test_the_others_start_while_the_first_is_laid_out_and_are_told_how(pool):
    first, second = pool.ray.actors
    assert first.count("configure") == 1
    assert (second.count("open"), second.count("configure")) == (1, 0)
    waiting = chunks(1)
    # One chunk is for the worker that is ready.
    pool.dispatch(waiting)
    assert (first.count("train"), second.count("configure"), len(waiting)) == (1, 0, 0)


def test_workers_have_a_second_chunk_while_there_are_enough(pool):
    waiting = chunks(6)
    begin(pool, waiting)
    pool.dispatch(waiting)
    assert [len(worker.chunks) for worker in pool.workers] == [2, 2]
    # The last two are for whoever is idle first.
    assert len(waiting) == 2


def test_all_chunks_of_a_worker_that_is_lost_come_back_and_another_is_started(pool):
    waiting = chunks(6)
    begin(pool, waiting)
    pool.dispatch(waiting)
    lost, given = pool.workers[0], set(pool.workers[0].chunks.values())
    pool.ray.said[next(iter(lost.chunks))] = FakeRay.Lost("died")
    assert {(chunk, found) for chunk, _, found in pool.results()} == {(chunk, None) for chunk in given}
    assert lost.actor.gone
    assert lost not in pool.workers
    pool.scale_up(9)
    assert len(pool.workers) == 2


def test_work_is_told_by_chunk_and_not_counted_twice(pool):
    waiting = chunks(6)
    begin(pool, waiting)
    pool.dispatch(waiting)
    worker = pool.workers[0]
    (answer, first), (_, second) = worker.chunks.items()
    list(pool.poll())
    pool.ray.said[worker.actor.answer("progress")] = {first: 3.0, second: 1.0}
    assert list(pool.poll()) == [3.0, 1.0]
    list(pool.poll())
    pool.ray.said[answer] = "arrays"
    assert list(pool.results()) == [(first, 3.0, "arrays")]
    # Told before its arrays came, heard after.
    pool.ray.said[worker.actor.answer("progress")] = {first: 5.0, second: 1.0}
    assert list(pool.poll()) == [1.0]
    assert worker.work == {second: 2.0}


def test_a_cluster_where_no_worker_comes_as_far_as_training_is_given_up(pool):
    waiting = chunks(6)
    for number in range(10):
        assert len(pool.workers) == 2
        pool.workers[0].opened = lost = object()
        pool.ray.said[lost] = FakeRay.Lost("the data are not there\nno such file")
        given_up = number == 9
        with pytest.raises(UserError, match=r"10 workers .* \(no such file\)") if given_up else nullcontext():
            with pool.handling_errors(pool.workers[0]):
                pool.ray.get(lost)
            pool.scale_up(9)
    pool.scale_up(9)
    # One that is ready shows that it can be done.
    pool.settings = "found"
    pool.ray.said[pool.workers[0].opened] = None
    pool.dispatch(waiting)
    pool.ray.said[pool.workers[0].configured] = "found"
    pool.dispatch(waiting)
    assert pool.failed_starts == 0


@pytest.mark.parametrize(
    ("cause", "raised", "message"),
    [
        (OutOfMemory(), OutOfMemory, "^$"),
        (UserError("all diverged"), UserError, "^all diverged$"),
        (KeyError("x"), ChunkFailed, "^Traceback"),
    ],
)
def test_what_a_worker_raises_is_for_the_width_for_the_user_or_for_the_others(pool, cause, raised, message):
    with pytest.raises(raised, match=message), pool.handling_errors(pool.workers[0]):
        raise FakeRay.Failed(cause)
    assert len(pool.workers) == 2


@pytest.mark.parametrize("cause", [UserError("the data do not fit"), OSError("no space left"), OutOfMemory()])
@pytest.mark.parametrize("when", ["open", "configure"])
def test_a_node_where_no_worker_can_begin_is_done_without(pool, when, cause):
    second, waiting = pool.workers[1], chunks(6)
    if when == "open":
        pool.ray.said[second.opened] = FakeRay.Failed(cause)
    pool.dispatch(waiting)
    if when == "configure":
        pool.ray.said[second.configured] = FakeRay.Failed(cause)
        pool.dispatch(waiting)
    assert second not in pool.workers
    assert [len(worker.chunks) for worker in pool.workers] == [2]


@pytest.mark.parametrize(("cause", "hired"), [(UserError("lower --width"), 2), (OSError("no space left"), 1)])
def test_a_mistake_that_the_first_worker_finds_is_told_and_a_bad_node_done_without(cause, hired):
    pool = WorkerPool(ray := FakeRay(), 1, print)
    pool.scale_up(9)
    first, second = ray.actors
    ray.said |= {first.answer("open"): FakeRay.Failed(cause), second.answer("open"): None}
    second.configure = types.SimpleNamespace(remote=lambda settings: ray.said.setdefault("done", "found") and "done")
    if hired == 2:
        with pytest.raises(UserError, match="lower --width"):
            pool.configure(None, 2)
    else:
        assert pool.configure(None, 2) == "found"
    assert (pool.workers[0].actor is first) == (hired == 2)


def test_workers_that_vanish_while_they_train_are_waited_for(pool):
    waiting = chunks(12)
    for _ in range(8):
        for worker in pool.workers:
            pool.ray.said[worker.opened] = None
            worker.submit(waiting.popleft())
            pool.ray.said[next(iter(worker.chunks))] = FakeRay.Lost("its node is gone")
        pool.slots.clear()
        given_back = [chunk for _ in pool.workers[:] for chunk, _, found in pool.results() if found is None]
        assert len(given_back) == 2
        waiting.extendleft(given_back)
        pool.last_refresh = -REFRESH_SECONDS
        pool.scale_up(9)
    assert pool.failed_starts == 0


def test_who_has_no_place_yet_is_not_asked_before_those_who_have(pool):
    ray = FakeRay(3.0)
    pool = WorkerPool(ray, 1, print)
    pool.scale_up(9)
    pool.settings = "found"
    pending, first, second = pool.workers
    ray.said |= {first.opened: None, second.opened: None}
    pool.dispatch(chunks(1))
    assert [worker.configured is not None for worker in (pending, first, second)] == [False, True, False]


def test_workers_that_are_let_go_clear_up_first(pool):
    actors = [worker.actor for worker in pool.workers]
    pool.close()
    assert [actor.count("close") for actor in actors] == [1, 1]
    assert all(actor.gone for actor in actors)
    assert not pool.workers


def test_a_worker_trains_what_was_built_and_tells_of_it():
    class Trainer:
        def __init__(self, devices):
            self.devices = devices

        def train(self, chunk, report):
            report(2.0)
            report(1.0, earlier=True)
            return {"run": self.devices}, {}

    worker = Worker(Trainer, 3)
    worker.close()
    worker.open()
    first, second = chunks(2)
    assert worker.train(first) == ({"run": 3}, {})
    worker.train(second)
    assert worker.progress() == {first: 3.0, second: 3.0}
    assert worker.progress() == {}


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("ray")
    make_data(tmp_path)
    said = command(tmp_path, *SMALL, "--launcher=ray", "--ray_address=127.0.0.1:1").communicate(timeout=120)
    lines = [line for line in said[1].splitlines() if line.startswith("jaxgen.cscore:")]
    assert len(lines) == 1
    assert lines[0].startswith("jaxgen.cscore: --ray_address=127.0.0.1:1: no cluster can be reached there")
    assert "--ray_address=local" in lines[0]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_answers_but_is_no_cluster_is_refused(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=f"^--ray_address={address}: no cluster can be reached there"):
            refuse_unreachable(address)
        serving.join()


@pytest.mark.parametrize("address", ["nonsense", "", "host:", ":1", "host:port"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError, match="is neither auto nor local nor a host and its port; give host:port"):
        refuse_unreachable(address)


def children(pid):
    """All processes below one, with their command lines."""
    found, waiting = {}, [pid]
    while waiting:
        for task in pathlib.Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                numbers = task.read_text().split()
            except OSError:
                continue
            for number in numbers:
                waiting.append(number)
                try:
                    found[int(number)] = (
                        pathlib.Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
                    )
                except OSError:
                    continue
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The job by one device of this process, where chunks are those of a worker of one core."""
    folder = make_data(tmp_path_factory.mktemp("alone"))
    process = command(folder, *LONG, "--num_devices=1")
    assert process.wait(300) == 0, process.stderr.read()
    return load_scores(folder / "out" / "cscores.npz")


@pytest.mark.slow
def test_workers_give_the_same_scores_and_one_that_is_killed_is_replaced(tmp_path, alone):
    pytest.importorskip("ray")
    make_data(tmp_path)
    process, killed = command(tmp_path, *LONG, *LOCAL), 0
    for _ in range(300):
        time.sleep(0.2)
        workers = [pid for pid, line in children(process.pid).items() if "Worker" in line and "ray::" in line]
        if workers and list(tmp_path.glob("out/store/*/*/*.npz")) and killed < 2:
            os.kill(workers[-1], signal.SIGKILL)
            killed += 1
            time.sleep(2)
        if process.poll() is not None:
            break
    said = process.communicate(timeout=300)
    assert process.returncode == 0, said[1]
    assert killed
    assert "30 models trained" in said[0]
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_ctrl_c_stops_a_cluster_within_seconds_and_the_job_goes_on_without_it(tmp_path, alone):
    pytest.importorskip("ray")
    make_data(tmp_path)
    process = command(tmp_path, *LONG, *LOCAL)
    while not list(tmp_path.glob("out/store/*/*/*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    said = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert process.returncode == 130, said[1]
    assert "models are done and kept. To go on: python -m jaxgen.cscore" in said[1]
    again = command(tmp_path, *LONG, "--num_devices=1")
    assert again.wait(300) == 0
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.fixture
def two_nodes():
    """A cluster, the one of its two nodes that may die, and how another is added."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # On 127.0.0.1 a cluster of two nodes does not start.
    each = {"num_cpus": 1, "object_store_memory": 10**8}
    head = {**each, "node_ip_address": "127.0.0.2", "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    add = functools.partial(cluster.add_node, **each, node_ip_address="127.0.0.3")
    try:
        other = add()
        cluster.wait_for_nodes()
        yield cluster, other, add
    finally:
        cluster.shutdown()
        ray.shutdown()


@pytest.mark.slow
def test_a_node_that_dies_is_done_without(tmp_path, alone, two_nodes):
    make_data(tmp_path)
    cluster, other, _ = two_nodes
    process = command(tmp_path, *LONG, "--launcher=ray", f"--ray_address={cluster.address}", "--ray_cpus=1")
    while not list(tmp_path.glob("out/store/*/*/*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    cluster.remove_node(other, allow_graceful=False)
    said = process.communicate(timeout=300)
    assert process.returncode == 0, said[1]
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


def harmed(folder, typed, harm, times=20):
    """Goes on with a job, half of whose chunks are lost whenever it is done, until `harm(process)` was done so often.

    `harm` says whether there was anything to harm.
    """
    moments, process = random.Random(0), command(folder, *typed)
    while times:
        time.sleep(moments.uniform(0.5, 10))
        times -= harm(process)
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()
            for path in sorted(folder.glob("out/store/*/*/*.npz"))[::2]:
                path.unlink()
            process = command(folder, *typed)
    assert process.wait(300) == 0, process.communicate()


@pytest.mark.slow
def test_twenty_workers_that_are_killed_cost_nothing_but_time(tmp_path, alone):
    pytest.importorskip("ray")
    make_data(tmp_path)
    moments = random.Random(1)

    def kill_one(process):
        workers = [pid for pid, line in children(process.pid).items() if "ray::Worker" in line]
        if workers:
            os.kill(moments.choice(workers), signal.SIGKILL)
        return bool(workers)

    harmed(tmp_path, (*LONG, *LOCAL), kill_one)
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_twenty_nodes_that_die_cost_nothing_but_time(tmp_path, alone, two_nodes):
    make_data(tmp_path)
    cluster, other, add = two_nodes
    nodes = [other]

    def kill_one(process):
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        nodes.append(add())
        return True

    harmed(tmp_path, (*LONG, "--launcher=ray", f"--ray_address={cluster.address}", "--ray_cpus=1"), kill_one)
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "typed"),
    [
        ("oversampling", ("--arm=plain,uniform", "--sample_sizes=24,48")),
        ("lnr", ("--imbalance=4", "--head_epochs=2", "--methods=mislas,lnr", "--threshold=1")),
    ],
)
def test_every_experiment_can_be_trained_by_workers(tmp_path, entry, typed):
    pytest.importorskip("ray")
    training = ("--dataset=npz:mine.npz", "--hidden=16", "--epochs=6", "--batch_size=8", "--learning_rate=0.1")
    training += ("--num_runs=4", "--width=2", "--out=out", *typed)
    results = {}
    for name, more in (("alone", ("--num_devices=1",)), ("cluster", LOCAL)):
        (tmp_path / name).mkdir()
        make_data(tmp_path / name)
        with np.load(tmp_path / name / "mine.npz") as file:
            arrays = {key: np.concatenate([file[key]] * 3) for key in file.files}
        np.savez(tmp_path / name / "mine.npz", **arrays)
        process = command(tmp_path / name, *training, *more, entry=entry)
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said[1]
        with open(tmp_path / name / "out" / "results.csv", encoding="utf-8") as file:
            results[name] = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    assert len(results["alone"]) > 4
    assert results["cluster"] == results["alone"]


@pytest.mark.slow
def test_processes_that_slurm_has_started_share_a_job(tmp_path, alone):
    make_data(tmp_path)
    job = {"SLURM_JOB_ID": f"{os.getpid()}", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    typed = (*LONG, "--launcher=distributed", "--num_devices=1")
    running = [
        command(tmp_path, *typed, **job, SLURM_PROCID=f"{index}", SLURM_LOCALID=f"{index}") for index in range(2)
    ]
    said = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert "least regular" in said[0][0]
    assert said[1][0] == ""
    assert "process 1 of 2: all shares are done; process 0 writes the results" in said[1][1]
    scores_equal(alone, load_scores(tmp_path / "out" / "cscores.npz"))


@pytest.mark.slow
def test_a_process_without_others_is_told_how_to_have_them(tmp_path):
    make_data(tmp_path)
    said = command(tmp_path, *SMALL, "--launcher=distributed").communicate(timeout=120)[1]
    assert "--launcher=distributed: this process cannot join others (coordinator_address should be defined.)" in said
    said = command(tmp_path, *SMALL, "--launcher=distributed", "--shard=0/2").communicate(timeout=120)[1]
    assert said.startswith("jaxgen.cscore: --shard=0/2: --launcher=distributed gives each process its share")
