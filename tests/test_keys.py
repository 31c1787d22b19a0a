"""No two streams of random draws can meet."""

import ast
import hashlib
import itertools
import pathlib

import jax
import numpy as np
import pytest

import jaxgen
from jaxgen import keys
from jaxgen.config.corruption_names import CORRUPTIONS
from jaxgen.data.corrupted_folders import draw_key
from jaxgen.keys import AugmentDraw, CorruptionDraw, Draw, JobDraw, StreamDraw, VersionDraw
from jaxgen.scores import agreement, designs
from jaxgen.transforms.corruptions.constants import NUM_SEVERITIES

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
    # As an int: whether an enum is in a range is looked up number by number.
    assert [draw for draw in JobDraw if int(draw) in RUNS] == [JobDraw.RELIABILITY]


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
    folded = {}
    for path in pathlib.Path(jaxgen.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fold_in":
                folded[f"{path.name}:{node.lineno}"] = node.args[1]
    assert folded
    assert [place for place, number in folded.items() if isinstance(number, ast.Constant)] == []
    assert [place for place, number in folded.items() if ast.unparse(number).isupper()] == []


# What follows proves the same of whole paths. A path is a tuple of the numbers that may stand at each place; below it
# lies all that is folded in behind. Purposes are kept apart if no path begins with another.
COUNTS, ANY = [RUNS], [range(2**32)]
RATIOS = [range(keys.TAKEN_STREAM), range(keys.TAKEN_STREAM + 1, STREAMS + 1)]
RATIOS.append(range(keys.FREE_STREAM, keys.FREE_STREAM + 1))
# Draws whose keys are divided by another table: the counts between, and the tables.
# By their names: numbers of two tables may be equal.
DIVIDED = {
    repr(Draw.ORDER): (1, (StreamDraw,)),
    repr(Draw.AUGMENT): (1, (AugmentDraw,)),
    repr(Draw.PASS): (1, (StreamDraw, [Draw.AUGMENT])),
    repr(Draw.STAGE2): (0, ([draw for draw in Draw if draw not in (Draw.SUBSET, Draw.BLOCK, Draw.STAGE2)],)),
    repr(JobDraw.THRESHOLD_SAMPLES): (1, ([draw for draw in Draw if draw != Draw.SUBSET],)),
    repr(JobDraw.VERSIONS): (0, (VersionDraw,)),
    repr(JobDraw.CORRUPTIONS): (0, (CorruptionDraw,)),
}


def only(number):
    return [range(number, number + 1)]


def paths_of(table, above=()):
    """From the name of each purpose of a table, below the path of its key, to its path."""
    paths = {}
    for draw in table:
        path = (*above, only(draw))
        counts, tables = DIVIDED.get(repr(draw), (0, ()))
        inner = [paths_of(one, (*path, *[ANY] * counts)) for one in tables]
        paths |= {f"{draw!r} {name}": inside for each in inner for name, inside in each.items()} or {repr(draw): path}
    return paths


def meet(first, second):
    """Whether some key of the one is a key of the other, or is folded further to one."""

    def share(one, other):
        return any(a.start < b.stop and b.start < a.stop for a, b in itertools.product(one, other))

    return all(share(one, other) for one, other in zip(first, second, strict=False))


OF_RUNS = [draw for draw in Draw if draw not in (Draw.SUBSET, Draw.BLOCK)]
OF_FOLDS = (Draw.FLIP, Draw.CONTROL, Draw.MLP_ORDER)
JOBS = {
    "runs": paths_of(JobDraw) | paths_of(OF_RUNS, (COUNTS,)),
    "runs on subsets": paths_of(JobDraw) | paths_of(Draw, (RATIOS, COUNTS)),
    "folds of a table": paths_of(OF_FOLDS),
}


@pytest.mark.parametrize("job", JOBS)
def test_no_two_purposes_of_a_job_have_paths_that_meet(job):
    # No table of runs halves them: that is the one draw of a job that is a number of runs.
    paths = {name: path for name, path in JOBS[job].items() if job != "runs" or "RELIABILITY" not in name}
    for (name, path), (other, second) in itertools.combinations(paths.items(), 2):
        assert not meet(path, second), f"{name} and {other}"


def test_paths_that_meet_are_found():
    assert meet((only(31),), (COUNTS, only(Draw.ORDER)))
    assert meet((only(JobDraw.RELIABILITY), ANY), ([range(STREAMS)], COUNTS))
    assert not meet((only(JobDraw.SELECTION),), (COUNTS, only(Draw.ORDER)))


def test_exported_corruptions_are_no_draws_of_runs():
    names = {name: (*map(only, name.encode()), [range(1, NUM_SEVERITIES + 1)]) for name in CORRUPTIONS}
    for (name, path), (other, second) in itertools.product(names.items(), JOBS["runs"].items()):
        if "RELIABILITY" not in other:
            assert not meet(path, second), f"{name} and {other}"
    for first, second in itertools.combinations(names.values(), 2):
        assert not meet(first, second)


def test_a_comparisons_bootstrap_samples_are_no_halves_of_its_runs():
    starts = range(0, 2**31, agreement.DRAWS_AT_ONCE)
    assert int(JobDraw.RELIABILITY) not in starts


def test_the_parts_of_a_split_are_keys_of_numbers_folded_in():
    root = jax.random.key(7)
    assert [words(key) for key in jax.random.split(root, 3)] == [words(jax.random.fold_in(root, i)) for i in range(3)]


# Recorded by seed 7 and run 5, with the numbers that were folded in behind, when each module had constants of its own.
RECORDED = {
    Draw.ORDER: ((3,), (3191055347, 4276732933)),
    Draw.INIT: ((), (642971876, 1539747960)),
    Draw.NOISE: ((), (1400128608, 1700204917)),
    Draw.AUGMENT: ((9,), (2345058703, 2810755577)),
    Draw.DROPOUT: ((9,), (2377471594, 1690297402)),
    Draw.VALIDATION: ((), (57076216, 1001433258)),
    Draw.MIXED: ((9,), (2497860599, 2830153428)),
    Draw.PAIRS: ((9,), (2214545979, 1254306009)),
    Draw.LABELS: ((), (101318998, 603737856)),
    Draw.COPIES: ((2, 11), (2425978418, 2072022111)),
    Draw.SAMPLE: ((), (3611133202, 2050405541)),
    Draw.SPLIT: ((), (4025185050, 772224313)),
    Draw.FLIP: ((2,), (229226969, 1998236630)),
    Draw.CONTROL: ((), (650557475, 727628130)),
    Draw.FEW: ((), (2266069599, 316556913)),
    JobDraw.INJECTION: ((2,), (4028186583, 986790449)),
    JobDraw.RESAMPLES: ((), (2217137883, 1560155800)),
    JobDraw.THRESHOLD_SAMPLES: ((2, Draw.BLOCK), (2234649305, 1986583490)),
    JobDraw.VERSIONS: ((VersionDraw.SHUFFLE,), (1984162652, 859698982)),
    JobDraw.CORRUPTIONS: ((CorruptionDraw.TEST, 4, 3), (1208813845, 1423166343)),
}


@pytest.mark.parametrize("draw", RECORDED, ids=repr)
def test_recorded_keys_are_what_they_were(draw):
    behind, recorded = RECORDED[draw]
    root = jax.random.key(7)
    key = keys.draw_key(root if isinstance(draw, JobDraw) else keys.run_key(root, 5), draw)
    for number in behind:
        key = jax.random.fold_in(key, int(number))
    assert words(key) == recorded


def test_recorded_keys_of_exported_corruptions_are_what_they_were():
    assert words(draw_key(7, "fog", 3)) == (2076160897, 1765627551)


def test_augmentations_numbers_are_what_they_were():
    assert [int(draw) for draw in AugmentDraw] == list(range(1, 13))
    assert (int(StreamDraw.CLASSES), int(StreamDraw.EXAMPLES)) == (1, 2)


@pytest.mark.parametrize(
    ("design", "digest"),
    [("independent", "da1524db893624ea"), ("nested", "def23c2d3e3e67a7"), ("balanced", "ddde7c5becac5c1f")],
)
def test_recorded_subsets_are_what_they_were(design, digest):
    row = jax.tree.map(lambda field: field[0], designs.subset_rows(design, 0.7, 100, np.array([13])))
    mask = np.asarray(designs.draw_subset(jax.random.key(7), row, 100))
    assert hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16] == digest
