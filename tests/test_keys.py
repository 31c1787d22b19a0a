"""No two streams of random draws can meet."""

import ast
import itertools
import pathlib

import jax
import numpy as np
import pytest

import jaxgen
from jaxgen import keys
from jaxgen.keys import Draw, JobDraw
from jaxgen.scores import designs

RUNS = range(2**31)
# 32-bit words of a key, written down once.
GOLDEN = (3968330031, 3923691647)
# Streams of ratios: 0 in a nested design, or the ratio in millionths, but for the one that is a job draw's number.
STREAMS = designs.RESOLUTION


def words(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_draws_of_a_member_all_differ():
    # An IntEnum makes two names of one number aliases of each other.
    assert len(Draw) == len(Draw.__members__)
    assert len(JobDraw) == len(JobDraw.__members__)


def test_a_jobs_own_draws_are_no_run():
    assert [draw for draw in JobDraw if draw in RUNS] == [JobDraw.RELIABILITY]


def test_the_reliabilitys_halves_are_no_stream_of_a_ratio():
    ratios = [stream / STREAMS for stream in range(1, 2000)]
    streams = [int(designs.subset_rows("independent", ratio, 10**6, np.arange(1)).stream[0]) for ratio in ratios]
    assert int(JobDraw.RELIABILITY) not in streams
    assert len({*streams}) == len(streams)
    assert streams[keys.TAKEN_STREAM - 1] == keys.FREE_STREAM > STREAMS
    # What has runs for streams has no reliability.
    assert keys.FREE_STREAM in RUNS


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_keys_of_runs_and_draws_differ(seed):
    root = jax.random.key(seed)
    members = [keys.run_key(root, run) for run in range(200)]
    drawn = [keys.draw_key(key, draw) for key, draw in itertools.product(members[:20], Draw)]
    jobs = [keys.job_key(seed, draw) for draw in JobDraw if draw != JobDraw.RELIABILITY]
    found = [words(key) for key in [root, *members, *drawn, *jobs]]
    assert len({*found}) == len(found)


def test_keys_are_what_they_were():
    root = jax.random.key(3)
    fold = jax.random.fold_in
    assert words(keys.draw_key(keys.run_key(root, 5), Draw.ORDER)) == words(fold(fold(root, 5), 2))
    assert words(keys.draw_key(keys.run_key(root, 5), Draw.LABELS)) == words(fold(fold(root, 5), 7))
    assert words(keys.job_key(3, JobDraw.VERSIONS)) == words(fold(root, 2**32 - 1))
    row = jax.tree.map(lambda field: field[0], designs.subset_rows("balanced", 0.3, 100, np.array([4])))
    assert words(designs.run_key(root, row)) == words(fold(fold(root, 300_000), 4))
    assert words(keys.draw_key(keys.run_key(jax.random.key(0), 1), Draw.INIT)) == GOLDEN


def test_a_long_tails_selection_is_no_run():
    root = jax.random.key(0)
    runs = {words(keys.run_key(root, run)) for run in range(64)}
    assert words(keys.job_key(0, JobDraw.SELECTION)) not in runs
    assert words(keys.job_key(0, JobDraw.TAIL)) not in runs


def test_no_other_module_folds_a_number_of_its_own_into_a_key():
    package = pathlib.Path(jaxgen.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fold_in":
                assert not isinstance(node.args[1], ast.Constant), f"{path.name}:{node.lineno}"
