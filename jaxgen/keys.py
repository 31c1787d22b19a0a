"""Every purpose of a random draw, in one table, and the keys that are made of them.

A key is the path of whole numbers that were folded, one after another, into the key of a job's seed:

    (run, draw, ...)            a member of a table, and what it draws for one purpose: by epoch, by step
    (stream, run, draw, ...)    a member of a C-score job, where each ratio has a stream of its own
    (job draw, ...)             what is drawn once for a whole job, or from its results
    (draw number,)              bootstrap samples of a comparison, which has no runs; a multiple of 50
    (letter, ..., severity)     corrupted images that are exported, by the letters of the corruption's name

Two streams meet only if their paths are equal or one begins with the other. They cannot: runs and streams are below
2**31 and job draws are not, but for one, which no stream is; and all draws that are folded into one key differ. The
parts of a split are the keys that 0, 1, ... give when they are folded in, so that a key is never both split and folded
into. `tests/test_keys.py` proves it from these tables. Never renumber: every draw would change.
"""

import enum

import jax

# Runs and streams of ratios are below, draws of a whole job are not.
FIRST_JOB_DRAW = 2**31


class Draw(enum.IntEnum):
    """What a member draws: folded into its own key."""

    # C-scores: the subset of a run (`jaxgen.scores.designs`).
    SUBSET = 0
    # Initial weights, the order of an epoch, noise on gradients, augmentation, dropout, the validation examples.
    INIT = 1
    ORDER = 2
    NOISE = 3
    AUGMENT = 4
    DROPOUT = 5
    VALIDATION = 6
    # Label noise.
    LABELS = 7
    # Oversampling: the sample, its split, the noise of copies.
    SAMPLE = 8
    SPLIT = 9
    COPIES = 10
    # Which examples of a step are seen in another version; which pairs SelMix mixes.
    MIXED = 20
    PAIRS = 21
    # LNR: flips, their random control, undersampling, all of stage 2, the passes that probabilities are means of.
    FLIP = 33
    CONTROL = 34
    FEW = 35
    STAGE2 = 37
    PASS = 38
    # Tables: the order of an epoch of a perceptron.
    MLP_ORDER = 36
    # The parts of a block of runs, balanced subsets of C-scores or threshold samples: folded into the key of the run
    # whose index is the block's number.
    BLOCK = 101


class JobDraw(enum.IntEnum):
    """What is drawn once for a whole job: folded into the key of its seed."""

    # Long tails: the selection examples and the examples of the tail.
    SELECTION = FIRST_JOB_DRAW + 31
    TAIL = FIRST_JOB_DRAW + 32
    # Random halves of C-scores' runs, for their reliability.
    RELIABILITY = 102
    # Resamples of the number of wrong labels; noise that is injected to judge scores.
    RESAMPLES = FIRST_JOB_DRAW + 103
    INJECTION = FIRST_JOB_DRAW + 104
    # Smaller selection sets of long tails, to see how the chosen threshold depends on their size.
    SMALLER_SELECTIONS = FIRST_JOB_DRAW + 105
    # All models with threshold samples of a search for mislabelled examples: members' draws by run below it.
    THRESHOLD_SAMPLES = FIRST_JOB_DRAW + 106
    # The examples of a pilot.
    PILOT = FIRST_JOB_DRAW + 107
    # Corrupted versions of images; randomized versions of pixels.
    CORRUPTIONS = 2**32 - 2
    VERSIONS = 2**32 - 1


class StreamDraw(enum.IntEnum):
    """What a class-aware stream of examples draws: folded into the key of an epoch's order, or of a pass."""

    CLASSES = 1
    EXAMPLES = 2


class AugmentDraw(enum.IntEnum):
    """What the augmentation of a step draws; each has the name of its flag."""

    FLIP = 1
    CROP = 2
    TRANSLATE = 3
    COLOR_JITTER = 4
    INPUT_NOISE = 5
    CUTOUT = 6
    MIXUP = 7
    CUTMIX = 8
    # Which of the two a batch gets, and which examples are mixed.
    CHOICE = 9
    PARTNER = 10
    ROTATE = 11
    AUGMIX = 12


class VersionDraw(enum.IntEnum):
    """What randomized versions of images are drawn by: folded into the key of `JobDraw.VERSIONS`."""

    SHUFFLE = 1
    TRAIN = 2
    TEST = 3
    CORRUPT = 4


class CorruptionDraw(enum.IntEnum):
    """Which images are corrupted: folded into the key of `JobDraw.CORRUPTIONS`."""

    TRAIN = 1
    TEST = 2
    SCORED = 3


# The one stream of a ratio that is a job draw's number, and what it has in its place.
TAKEN_STREAM, FREE_STREAM = int(JobDraw.RELIABILITY), 1_000_000 + int(JobDraw.RELIABILITY)


def run_key(root: jax.Array, run: jax.Array | int) -> jax.Array:
    """The key of a run: all that its member draws comes of it.

    Args:
      root: the key of a job's seed, or of a ratio's stream.
      run: below 2**31.
    """
    return jax.random.fold_in(root, run)


def draw_key(key: jax.Array, draw: enum.IntEnum) -> jax.Array:
    """The key of one of the draws that come of `key`: a member's, or those of a table for what it draws."""
    return jax.random.fold_in(key, int(draw))


def job_key(seed: int, draw: JobDraw) -> jax.Array:
    """The key of one of a job's own draws.

    Args:
      seed: of the job, below 2**32.
      draw: which.
    """
    return jax.random.fold_in(jax.random.key(seed), int(draw))
