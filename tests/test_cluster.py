"""Chunks trained by workers elsewhere: who is hired, what is done where one is lost, and that results are the same."""

import collections
import functools
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from contextlib import nullcontext

import numpy as np
import pytest
from test_cli import LONG, SMALL, make_data, scores_equal
from test_runs import rows, store

from jaxgen import load_scores
from jaxgen.errors import FailedRuns, OutOfMemory, UserError
from jaxgen.runs.launch import train_on_cluster
from jaxgen.runs.plan import Chunk, Span, cut_chunks
from jaxgen.runs.ray_cluster import options, places, refuse_unreachable
from jaxgen.runs.worker_pool import LOOK, ChunkFailed, Worker, WorkerPool

LOCAL = ("--launcher=ray", "--ray_address=local", "--ray_cpus=1")


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": {"memory": 1e9, **resources}}


def test_every_node_has_the_workers_that_it_has_room_for():
    nodes = [node(CPU=8.0), node(CPU=2.0), node(CPU=32.0, GPU=4.0), node(CPU=16.0, TPU=4.0), node(False, CPU=64.0)]
    assert places(nodes, 0) == {("CPU", 8): 1, ("CPU", 2): 1, ("GPU", 1): 4, ("TPU", 4): 1}
    assert places(nodes, 3) == {("CPU", 3): 2, ("CPU", 2): 1, ("GPU", 1): 4, ("TPU", 4): 1}
    assert places([node()], 1) == {}
    assert options(("CPU", 3)) == {"num_cpus": 3}
    assert options(("GPU", 1))["num_gpus"] == 1
    assert options(("TPU", 4))["resources"] == {"TPU": 4}


class FakeCrew:
    """Workers that answer at once, as `train` has it: arrays, a `ChunkFailed`, or None for a worker that was lost."""

    def __init__(self, train, together=2):
        self.train, self.together, self.given, self.seen = train, together, [], []

    def hire(self, most):
        pass

    def busy(self):
        return self.given

    def give(self, waiting):
        while waiting and len(self.given) < self.together:
            self.given.append(waiting.popleft())

    def listen(self):
        return iter([0.5] * len(self.given))

    def answers(self):
        given, self.given = self.given, []
        for chunk in given:
            self.seen.append(chunk)
            yield chunk, 0.5, self.train(chunk)


def launch(kept, crew):
    work = dict.fromkeys(kept.plan.run_groups, 1.0)
    chunks = cut_chunks(kept.missing(), 4)
    train_on_cluster(kept, chunks, crew, work, keep=lambda chunk, found: found, resume="again", shown=True)


def test_a_chunk_whose_worker_is_lost_is_given_to_another(tmp_path, capsys):
    kept, lost = store(tmp_path), []

    def train(chunk):
        if chunk.start == 4 and len(lost) < 5:
            return lost.append(chunk)
        return rows(chunk)

    launch(kept, FakeCrew(train))
    assert len(lost) == 5
    assert not any(kept.missing().values())
    assert "20/20 models" in capsys.readouterr().err


def test_a_chunk_that_ends_all_its_workers_is_named_and_the_others_are_done(tmp_path):
    kept = store(tmp_path)
    crew = FakeCrew(lambda chunk: None if (chunk.run_group, chunk.start) == ("a", 4) else rows(chunk))
    with pytest.raises(
        FailedRuns, match=r"^4 models failed, of a 4 to 7 first \(10 workers were lost while they had it"
    ):
        launch(kept, crew)
    assert kept.missing() == {"a": [Span(4, 8)], "b": []}


def test_a_chunk_that_fails_everywhere_is_named_and_the_others_are_done(tmp_path):
    kept = store(tmp_path)

    def train(chunk):
        bad = chunk.run_group == "b" and chunk.start == 4
        return ChunkFailed("Traceback ...\nValueError: no") if bad else rows(chunk)

    crew = FakeCrew(train)
    with pytest.raises(FailedRuns, match=r"^4 models failed, of b 4 to 7 first \(ValueError: no; .*failed.txt has all"):
        launch(kept, crew)
    assert kept.missing() == {"a": [], "b": [Span(4, 8)]}
    assert crew.seen.count(next(chunk for chunk in crew.seen if chunk.run_group == "b" and chunk.start == 4)) == 2


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
def crew():
    """Two workers, the first laid out."""
    ray = FakeRay()
    crew = WorkerPool(ray, 1, print)
    crew.hire(9)
    for actor in ray.actors:
        ray.said[actor.answer("open")] = None
    settle = ray.actors[0].settle

    def microbatch_size(settings):
        answer = settle.remote(settings)
        ray.said[answer] = settings or "found"
        return answer

    ray.actors[0].settle = types.SimpleNamespace(remote=microbatch_size)
    assert crew.settle(None, 9) == "found"
    return crew


def chunks(count):
    return collections.deque(Chunk("a", 2 * i, 2 * i + 2) for i in range(count))


def begin(crew, waiting):
    """Gives the chunks out as soon as both workers are ready."""
    crew.give(waiting)
    second = crew.ray.actors[1]
    assert [arguments for name, arguments, _ in second.asked if name == "settle"] == [("found",)]
    crew.ray.said[second.answer("settle")] = "found"
    crew.give(waiting)


def test_the_others_start_while_the_first_is_laid_out_and_are_told_how(crew):
    first, second = crew.ray.actors
    assert first.count("settle") == 1
    assert (second.count("open"), second.count("settle")) == (1, 0)
    waiting = chunks(1)
    # One chunk is for the worker that is ready.
    crew.give(waiting)
    assert (first.count("train"), second.count("settle"), len(waiting)) == (1, 0, 0)


def test_workers_have_a_second_chunk_while_there_are_enough(crew):
    waiting = chunks(6)
    begin(crew, waiting)
    crew.give(waiting)
    assert [len(worker.chunks) for worker in crew.hired] == [2, 2]
    # The last two are for whoever is idle first.
    assert len(waiting) == 2


def test_all_chunks_of_a_worker_that_is_lost_come_back_and_another_is_hired(crew):
    waiting = chunks(6)
    begin(crew, waiting)
    crew.give(waiting)
    lost, given = crew.hired[0], set(crew.hired[0].chunks.values())
    crew.ray.said[next(iter(lost.chunks))] = FakeRay.Lost("died")
    assert {(chunk, found) for chunk, _, found in crew.answers()} == {(chunk, None) for chunk in given}
    assert lost.actor.gone
    assert lost not in crew.hired
    crew.hire(9)
    assert len(crew.hired) == 2


def test_work_is_told_by_chunk_and_not_counted_twice(crew):
    waiting = chunks(6)
    begin(crew, waiting)
    crew.give(waiting)
    worker = crew.hired[0]
    (answer, first), (_, second) = worker.chunks.items()
    list(crew.listen())
    crew.ray.said[worker.actor.answer("told")] = {first: 3.0, second: 1.0}
    assert list(crew.listen()) == [3.0, 1.0]
    list(crew.listen())
    crew.ray.said[answer] = "arrays"
    assert list(crew.answers()) == [(first, 3.0, "arrays")]
    # Told before its arrays came, heard after.
    crew.ray.said[worker.actor.answer("told")] = {first: 5.0, second: 1.0}
    assert list(crew.listen()) == [1.0]
    assert worker.work == {second: 2.0}


def test_a_cluster_where_no_worker_comes_as_far_as_training_is_given_up(crew):
    waiting = chunks(6)
    for number in range(10):
        assert len(crew.hired) == 2
        crew.hired[0].opened = lost = object()
        crew.ray.said[lost] = FakeRay.Lost("the data are not there\nno such file")
        given_up = number == 9
        with pytest.raises(UserError, match=r"10 workers .* \(no such file\)") if given_up else nullcontext():
            with crew.noted(crew.hired[0]):
                crew.ray.get(lost)
            crew.hire(9)
    crew.hire(9)
    # One that is ready shows that it can be done.
    crew.settings = "found"
    crew.ray.said[crew.hired[0].opened] = None
    crew.give(waiting)
    crew.ray.said[crew.hired[0].ready] = "found"
    crew.give(waiting)
    assert crew.lost == 0


@pytest.mark.parametrize(
    ("cause", "raised"),
    [(OutOfMemory(), OutOfMemory), (UserError("all diverged"), UserError), (KeyError("x"), ChunkFailed)],
)
def test_what_a_worker_raises_is_for_the_width_for_the_user_or_for_the_others(crew, cause, raised):
    with pytest.raises(raised), crew.noted(crew.hired[0]):
        raise FakeRay.Failed(cause)
    assert len(crew.hired) == 2


@pytest.mark.parametrize("cause", [UserError("the data do not fit"), OSError("no space left"), OutOfMemory()])
@pytest.mark.parametrize("when", ["open", "settle"])
def test_a_node_where_no_worker_can_begin_is_done_without(crew, when, cause):
    second, waiting = crew.hired[1], chunks(6)
    if when == "open":
        crew.ray.said[second.opened] = FakeRay.Failed(cause)
    crew.give(waiting)
    if when == "settle":
        crew.ray.said[second.ready] = FakeRay.Failed(cause)
        crew.give(waiting)
    assert second not in crew.hired
    assert [len(worker.chunks) for worker in crew.hired] == [2]


@pytest.mark.parametrize(("cause", "hired"), [(UserError("lower --width"), 2), (OSError("no space left"), 1)])
def test_a_mistake_that_the_first_worker_finds_is_told_and_a_bad_node_done_without(cause, hired):
    crew = WorkerPool(ray := FakeRay(), 1, print)
    crew.hire(9)
    first, second = ray.actors
    ray.said |= {first.answer("open"): FakeRay.Failed(cause), second.answer("open"): None}
    second.settle = types.SimpleNamespace(remote=lambda settings: ray.said.setdefault("settled", "found") and "settled")
    if hired == 2:
        with pytest.raises(UserError, match="lower --width"):
            crew.settle(None, 2)
    else:
        assert crew.settle(None, 2) == "found"
    assert (crew.hired[0].actor is first) == (hired == 2)


def test_workers_that_vanish_while_they_train_are_waited_for(crew):
    waiting = chunks(12)
    for _ in range(8):
        for worker in crew.hired:
            crew.ray.said[worker.opened] = None
            worker.take(waiting.popleft())
            crew.ray.said[next(iter(worker.chunks))] = FakeRay.Lost("its node is gone")
        crew.room.clear()
        given_back = [chunk for _ in crew.hired[:] for chunk, _, found in crew.answers() if found is None]
        assert len(given_back) == 2
        waiting.extendleft(given_back)
        crew.looked = -LOOK
        crew.hire(9)
    assert crew.lost == 0


def test_who_has_no_place_yet_is_not_asked_before_those_who_have(crew):
    ray = FakeRay(3.0)
    crew = WorkerPool(ray, 1, print)
    crew.hire(9)
    crew.settings = "found"
    pending, first, second = crew.hired
    ray.said |= {first.opened: None, second.opened: None}
    crew.give(chunks(1))
    assert [worker.ready is not None for worker in (pending, first, second)] == [False, True, False]


def test_workers_that_are_let_go_clear_up_first(crew):
    actors = [worker.actor for worker in crew.hired]
    crew.close()
    assert [actor.count("close") for actor in actors] == [1, 1]
    assert all(actor.gone for actor in actors)
    assert not crew.hired


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
    assert worker.told() == {first: 3.0, second: 3.0}
    assert worker.told() == {}


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


def command(folder, *typed, entry="cscore", **environment):
    return subprocess.Popen(
        [sys.executable, "-m", f"jaxgen.{entry}", *typed],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1", **environment},
    )


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
                    found[int(number)] = pathlib.Path(f"/proc/{number}/cmdline").read_text().replace("\0", " ")
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
    found = {}
    for name, more in (("alone", ("--num_devices=1",)), ("cluster", LOCAL)):
        (tmp_path / name).mkdir()
        make_data(tmp_path / name)
        with np.load(tmp_path / name / "mine.npz") as file:
            arrays = {key: np.concatenate([file[key]] * 3) for key in file.files}
        np.savez(tmp_path / name / "mine.npz", **arrays)
        process = command(tmp_path / name, *training, *more, entry=entry)
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said[1]
        lines = (tmp_path / name / "out" / "results.csv").read_text().splitlines()
        found[name] = lines
    assert len(found["alone"]) == len(found["cluster"]) > 4
    same = sum(first == second for first, second in zip(found["alone"], found["cluster"], strict=True))
    assert same >= 1


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


def test_a_process_without_others_is_told_how_to_have_them(tmp_path):
    make_data(tmp_path)
    said = command(tmp_path, *SMALL, "--launcher=distributed").communicate(timeout=120)[1]
    assert "--launcher=distributed: this process cannot join others (coordinator_address should be defined.)" in said
    said = command(tmp_path, *SMALL, "--launcher=distributed", "--shard=0/2").communicate(timeout=120)[1]
    assert said.startswith("jaxgen.cscore: --shard=0/2: --launcher=distributed gives each process its share")
