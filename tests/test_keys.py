"""No two random draws have one key, by the table of all purposes; and keys are what they have always been."""

import ast
import hashlib
import itertools
import pathlib

import jax
import numpy as np
import pytest

import jaxgen
from jaxgen.config.corruption_names import CORRUPTIONS
from jaxgen.data.corrupted_folders import draw_key
from jaxgen.jobs.identity import NUMERICS, numerics_version
from jaxgen.keys import (
    DIVIDED,
    FIRST_JOB_DRAW,
    LEVELS,
    AugmentDraw,
    CorruptionDraw,
    FoldDraw,
    JobDraw,
    PassDraw,
    PixelsDraw,
    RunDraw,
    StreamDraw,
    job_key,
    root_key,
    run_key,
    subkey,
)
from jaxgen.scores import designs
from jaxgen.scores.designs import RESOLUTION
from jaxgen.transforms.corruptions.constants import NUM_SEVERITIES

PACKAGE = pathlib.Path(jaxgen.__file__).parent
# A path is a tuple of ranges: of all numbers that may be folded in at each place.
ANY, COUNTS, RATIOS = range(2**32), range(FIRST_JOB_DRAW), range(RESOLUTION + 1)
SEED, RUN = 7, 5


def only(number):
    return range(number, number + 1)


def paths_of(level, above):
    """The paths of every key that a level's draws make, those on the way included, below a key's path."""
    for draw in level:
        path = (*above, only(draw.number))
        yield path
        for _ in draw.then:
            path = (*path, ANY)
            yield path
        for divided, inner in DIVIDED:
            if divided is draw:
                yield from paths_of(inner, path)


def meet(first, second):
    """Whether some key has both paths."""
    return len(first) == len(second) and all(
        max(one.start, other.start) < min(one.stop, other.stop) for one, other in zip(first, second, strict=True)
    )


JOBS = {
    "runs": [*paths_of(JobDraw, ()), (COUNTS,), *paths_of(RunDraw, (COUNTS,))],
    "runs on subsets": [*paths_of(JobDraw, ()), (RATIOS,), (RATIOS, COUNTS), *paths_of(RunDraw, (RATIOS, COUNTS))],
    "comparisons": [*paths_of(JobDraw, ()), (COUNTS,)],
    "folds of a table": [*paths_of(FoldDraw, ())],
}


@pytest.mark.parametrize("job", JOBS)
def test_no_two_draws_of_a_job_have_one_key(job):
    for first, second in itertools.combinations(JOBS[job], 2):
        assert not meet(first, second), f"{first} and {second}"


def test_two_draws_that_shared_a_key_would_be_found():
    assert meet((only(31),), (COUNTS,))
    assert meet((only(102), ANY), (RATIOS, COUNTS))
    assert not meet((only(31),), (COUNTS, only(1)))


def test_exported_corruptions_meet_no_draw_of_runs():
    names = [(*map(only, name.encode()), range(1, NUM_SEVERITIES + 1)) for name in CORRUPTIONS]
    for name, path in itertools.product(names, [*JOBS["runs"], *JOBS["runs on subsets"]]):
        assert not meet(name, path)
    for first, second in itertools.combinations(names, 2):
        assert not meet(first, second)


@pytest.mark.parametrize("level", LEVELS)
def test_every_draw_has_a_number_of_its_own_and_says_what_it_is_for(level):
    numbers = [draw.number for draw in level]
    assert len({*numbers}) == len(numbers) == len(level.__members__)
    for draw in level:
        assert draw.use
        lowest, highest = (FIRST_JOB_DRAW, 2**32) if level is JobDraw else (0, FIRST_JOB_DRAW)
        assert lowest <= draw.number < highest


def test_the_first_200_runs_and_all_jobs_draw_by_keys_that_differ():
    keys = [job_key(SEED, draw) for draw in JobDraw]
    runs = jax.vmap(lambda run: run_key(SEED, run))(np.arange(200, dtype=np.int32))
    drawn = [jax.vmap(lambda key, draw=draw: subkey(key, draw))(runs) for draw in RunDraw]
    data = [jax.random.key_data(each).reshape(-1, 2) for each in (*keys, root_key(SEED), runs, *drawn)]
    data = np.concatenate(data)
    assert len(np.unique(data, axis=0)) == len(data) == len(JobDraw) + 1 + 200 * (1 + len(RunDraw))


def test_the_parts_of_a_split_are_keys_that_numbers_give():
    parts = jax.random.key_data(jax.random.split(root_key(SEED), 3))
    folded = [jax.random.key_data(jax.random.fold_in(root_key(SEED), number)) for number in range(3)]
    np.testing.assert_array_equal(parts, folded)


def subset_row(design, index):
    return jax.tree.map(lambda field: field[0], designs.subset_rows(design, 0.7, 100, np.array([index])))


# Recorded when every module still had constants of its own.
RECORDED = {
    "run": (3583082021, 1947592014),
    "subset run": (4232176407, 3796294097),
    "order": (3191055347, 4276732933),
    "init": (642971876, 1539747960),
    "noise": (1400128608, 1700204917),
    "augment": (2345058703, 2810755577),
    "dropout": (2377471594, 1690297402),
    "validation": (57076216, 1001433258),
    "mixed": (2497860599, 2830153428),
    "pairs": (2214545979, 1254306009),
    "labels": (101318998, 603737856),
    "copies": (2425978418, 2072022111),
    "sample": (3611133202, 2050405541),
    "split": (4025185050, 772224313),
    "flip": (229226969, 1998236630),
    "control": (650557475, 727628130),
    "few": (2266069599, 316556913),
    "pass": (3012955185, 3790315832),
    "injection": (4028186583, 986790449),
    "resamples": (2217137883, 1560155800),
    "pixels": (1984162652, 859698982),
    "corrupted": (1208813845, 1423166343),
    "exported": (2076160897, 1765627551),
}
BEHIND = {"order": (3,), "augment": (9,), "dropout": (9,), "mixed": (9,), "pairs": (9,), "copies": (2, 11)}
BEHIND |= {"flip": (2,), "pass": (1,)}


def now(name):
    """The key of a recorded name as it is made today."""
    special = {
        "run": lambda: run_key(SEED, RUN),
        "subset run": lambda: designs.run_key(root_key(SEED), subset_row("balanced", 13)),
        "injection": lambda: job_key(SEED, JobDraw.INJECTION, 2),
        "resamples": lambda: job_key(SEED, JobDraw.RESAMPLES),
        "pixels": lambda: subkey(job_key(SEED, JobDraw.PIXELS), PixelsDraw.SHUFFLE),
        "corrupted": lambda: subkey(job_key(SEED, JobDraw.CORRUPTIONS), CorruptionDraw.TEST, 4, 3),
        "exported": lambda: draw_key(SEED, "fog", 3),
    }
    if name in special:
        return special[name]()
    return subkey(run_key(SEED, RUN), RunDraw[name.upper()], *BEHIND.get(name, ()))


@pytest.mark.parametrize("name", RECORDED)
def test_keys_are_what_they_have_always_been(name):
    np.testing.assert_array_equal(jax.random.key_data(now(name)), RECORDED[name])


def test_inner_numbers_are_what_they_have_always_been():
    assert [draw.number for draw in AugmentDraw] == list(range(1, 11))
    assert [draw.number for draw in (*StreamDraw, *PassDraw, *FoldDraw)] == [1, 2, 4, 33, 34, 36]
    assert [draw.number for draw in (*PixelsDraw, *CorruptionDraw)] == [1, 2, 3, 4, 1, 2, 3]


@pytest.mark.parametrize(
    ("design", "digest"),
    [("independent", "da1524db893624ea"), ("nested", "def23c2d3e3e67a7"), ("balanced", "ddde7c5becac5c1f")],
)
def test_subsets_are_what_they_have_always_been(design, digest):
    mask = np.asarray(designs.draw_subset(root_key(SEED), subset_row(design, 13), 100))
    assert hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_table_has_numbers_that_are_folded_in(path):
    where = path.relative_to(PACKAGE).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or where == "keys.py":
            continue
        name = ast.unparse(node.func)
        if name.endswith("fold_in"):
            number = node.args[1]
            assert not isinstance(number, ast.Constant), ast.unparse(node)
            assert not (isinstance(number, ast.Name) and number.id.isupper()), ast.unparse(node)
        # Shapes and rates are found by a key that draws nothing; benchmarks have data of their own.
        if name == "jax.random.key" and where != "benchmarks":
            assert ast.unparse(node) == "jax.random.key(0)"


def test_only_long_tails_have_changed_since_the_last_version_of_all_experiments():
    versions = {name: numerics_version(name) for name in ("cscore", "randomization", "oversampling", "lnr on tables")}
    assert {*versions.values()} == {str(NUMERICS)}
    assert numerics_version("lnr") == f"{NUMERICS}.1"
