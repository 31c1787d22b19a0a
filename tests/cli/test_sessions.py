"""Whatever a session is like, a job writes the same arrays, loses nothing and ends without a traceback."""

import io
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from jaxgen.config import flags
from jaxgen.io.process import environment, say
from jaxgen.reporting.console import log, show
from jaxgen.runs import signals
from jaxgen.runs.progress import ProgressBar
from support.data import blobs

JOB = ("--num_runs=4", "--subset_ratios=0.5", "--hidden=4", "--epochs=2", "--width=1", "--out=out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    images, labels = blobs(40)
    names = np.array(["猫", "собака", "zèbre"])
    np.savez(folder / "mine.npz", images=images, labels=labels, class_names=names)
    assert run(folder, "plain").returncode == 0
    return folder


def run(folder, name, variables=None, shell="", **options):
    """Runs the job in a session of its own, in a folder of its own."""
    place = folder / name
    place.mkdir()
    arguments = [sys.executable, "-m", "jaxgen.cscore", "--dataset=npz:../mine.npz", *JOB]
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *arguments] if shell else arguments
    return subprocess.run(
        command, cwd=place, env={**os.environ, **(variables or {})}, capture_output=True, timeout=300, **options
    )


def scores(folder, name):
    with np.load(folder / name / "out" / "cscores.npz") as arrays:
        return {key: arrays[key] for key in arrays.files if key != "metadata"}


GENERATOR = {"JAX_THREEFRY_PARTITIONABLE": "0", "JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_ENABLE_X64": "1"}
STRICT = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_TRANSFER_GUARD": "disallow", "JAX_DEBUG_NANS": "1"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    ("name", "variables", "shell"),
    [
        ("all", GENERATOR | STRICT | ASCII, ""),
        ("closed", {}, ">&- 2>&-"),
        pytest.param("generator", GENERATOR, "", marks=pytest.mark.slow),
        pytest.param("strict", STRICT, "", marks=pytest.mark.slow),
        pytest.param("ascii", ASCII, "", marks=pytest.mark.slow),
        pytest.param("silent", {}, "2>&-", marks=pytest.mark.slow),
        pytest.param("full", {}, "2>/dev/full", marks=pytest.mark.slow),
    ],
)
def test_a_job_in_another_session_writes_the_same_arrays(folder, name, variables, shell):
    done = run(folder, name, variables, shell)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    found, plain = scores(folder, name), scores(folder, "plain")
    assert found.keys() == plain.keys()
    for key, array in plain.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)


def test_devices_that_are_not_there_are_one_line(folder):
    done = run(folder, "no devices", {"JAX_PLATFORMS": "cuda"})
    assert done.returncode == 2
    [*_, line] = done.stderr.decode().splitlines()
    assert line.startswith("jaxgen.cscore: JAX_PLATFORMS=cuda: JAX cannot start there")
    assert "Traceback" not in done.stderr.decode()


def test_a_call_leaves_the_environment_as_it_was(folder):
    program = """
import os
before = dict(os.environ)
import jaxgen, numpy as np
rng = np.random.default_rng(0)
jaxgen.estimate_scores(rng.random((40, 3)), np.arange(40) % 2, num_runs=2, subset_ratios=0.5, epochs=1, hidden=2)
assert os.environ == before, set(os.environ.items()) ^ set(before.items())
"""
    variables = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_variables_are_put_back_even_after_an_error(monkeypatch):
    monkeypatch.setenv("JAXGEN_KEPT", "mine")
    monkeypatch.delenv("JAXGEN_NEW", raising=False)

    def fail():
        with environment(JAXGEN_KEPT="other", JAXGEN_NEW="1"):
            assert (os.environ["JAXGEN_KEPT"], os.environ["JAXGEN_NEW"]) == ("other", "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert os.environ["JAXGEN_KEPT"] == "mine"
    assert "JAXGEN_NEW" not in os.environ


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("make", [lambda: None, Broken, io.StringIO], ids=["none", "broken", "closed"])
def test_standard_error_never_ends_a_job(monkeypatch, make):
    stream = make()
    if type(stream) is io.StringIO:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    say("line")
    log("line")
    bar = ProgressBar(10, 5, 0, shown=True)
    bar.work(5)
    bar.close()


def test_what_a_stream_cannot_encode_is_escaped(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    flags.mend_streams()
    show("± 猫")
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b"\\xb1 \\u732b\n"


def test_a_handler_of_a_program_in_c_is_left_alone(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    stop = signals.Stop()
    with signals.stoppable(stop):
        assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_DFL
    assert not stop.requested


@pytest.mark.slow
def test_a_tilde_is_the_home_folder_in_a_command(folder, monkeypatch):
    name = "home"
    (folder / name).mkdir()
    command = [sys.executable, "-m", "jaxgen.cscore", "--dataset=npz:~/mine.npz", *JOB[:-1], "--out=~/home/out"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "HOME": str(folder)}, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert not pathlib.Path(folder, "~").exists()
    np.testing.assert_array_equal(scores(folder, name)["scores"], scores(folder, "plain")["scores"])
