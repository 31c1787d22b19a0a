"""The keys of all random draws, in one table: every purpose has a number, which is folded into a key.

A key is written here as the path of numbers that are folded, one after the other, into the key of the seed:

    (JobDraw, ...)                drawn once for a job; these numbers are 2^31 or more
    (run, RunDraw, ...)           drawn by a run, whose number is below 2^31; the same in every setting
    (ratio, run, RunDraw, ...)    drawn by a run on a subset: first its ratio in millionths, 0 in nested designs
    (letter, ..., severity)       corrupted images that are exported: the letters of the corruption's name
    (draw,)                       bootstrap samples of a comparison, which has no runs

Two draws with different paths are independent. To add one, give it a number that no other of its class has, and say
what it draws and which numbers are folded in behind it. Never renumber: every draw would change. A key that is split is
not folded into besides: the parts of a split are the keys that 0, 1, ... give when they are folded in.
`tests/test_keys.py` proves from this table that no two paths meet.
"""

import enum

import jax

# Numbers of runs, and of whatever else is counted in the key of the seed, are below it; numbers of `JobDraw` are not.
FIRST_JOB_DRAW = 2**31


class Draw(enum.Enum):
    """What something is drawn for.

    Attributes:
      number: what is folded in for it.
      use: what is drawn.
      then: names of the numbers that are folded in behind it.
    """

    def __init__(self, number: int, use: str, *then: str) -> None:
        self.number, self.use, self.then = number, use, then


class JobDraw(Draw):
    """Drawn once for a job, by its seed."""

    SELECTION = 2**31 + 31, "long tail: the examples to choose thresholds by"
    TAIL = 2**31 + 32, "long tail: the examples that are left of each class"
    RELIABILITY = 2**31 + 102, "halves of the runs; of nested designs one draw, without the ratio", "ratio"
    RESAMPLES = 2**31 + 103, "bootstrap samples for the number of wrong labels", "sample"
    INJECTION = 2**31 + 104, "known label noise", "repeat"
    CORRUPTIONS = 2**32 - 2, "corrupted images of a robustness job"
    PIXELS = 2**32 - 1, "images with other pixels, and watched corruptions, of a randomization test"


class RunDraw(Draw):
    """Drawn by a run: folded into its key."""

    SUBSET = 0, "the examples it trains on, in designs without blocks"
    INIT = 1, "initial weights"
    ORDER = 2, "order of the examples", "epoch"
    NOISE = 3, "gradient noise, by the optimizer's own count of steps"
    AUGMENT = 4, "augmentation", "step"
    DROPOUT = 5, "units to drop", "step", "place in the batch", "layer"
    VALIDATION = 6, "the examples it is stopped by"
    LABELS = 7, "label noise"
    SAMPLE = 8, "oversampling: the examples it has"
    SPLIT = 9, "oversampling: which of examples and copies are for development"
    COPIES = 10, "oversampling: noise of a copy", "copy", "example"
    MIXED = 20, "robustness: which examples of a batch come corrupted", "step"
    PAIRS = 21, "SelMix: pairs of examples to mix", "step"
    FLIP = 33, "flips by the rule; the first round's without its number", "round"
    CONTROL = 34, "as many flips at random"
    FEW = 35, "undersampling: the examples that are kept"
    PASS = 36, "passes over augmented batches, to flip labels by", "pass"
    BLOCK = 101, "the random order of a block of subsets, drawn by the run whose number is the block's"


class BlockDraw(Draw):
    """Folded into the key of a block of subsets."""

    HELD_OUT = 101, "which of its parts each run holds out"


class FoldDraw(Draw):
    """Tables: folded into the key of a fold, which has a seed of its own; initial weights are drawn by that key."""

    FLIP = 33, "flips by the rule"
    CONTROL = 34, "as many flips at random"
    ORDER = 36, "order of the rows", "epoch"


class StreamDraw(Draw):
    """Folded into the key of a class-aware stream of examples: that of an epoch's order, or of a pass."""

    CLASSES = 1, "order of the classes in each cycle"
    EXAMPLES = 2, "order of the examples in each class"


class PassDraw(Draw):
    """Folded into the key of a pass, beside `StreamDraw`."""

    AUGMENT = 4, "augmentation", "step"


class AugmentDraw(Draw):
    """Folded into the key of a step's augmentation; members up to `CUTMIX` are called as their flags are."""

    FLIP = 1, "which images are mirrored", "place in the batch"
    CROP = 2, "shifts in a frame", "place in the batch"
    TRANSLATE = 3, "shifts", "place in the batch"
    COLOR_JITTER = 4, "brightness, contrast and saturation", "place in the batch"
    INPUT_NOISE = 5, "Gaussian noise", "place in the batch"
    CUTOUT = 6, "squares to blank", "place in the batch"
    MIXUP = 7, "weight of a mixture"
    CUTMIX = 8, "box of a mixture"
    CHOICE = 9, "mixup or cutmix"
    PARTNER = 10, "who is mixed with whom"


class PixelsDraw(Draw):
    """Folded into the key of `JobDraw.PIXELS`."""

    SHUFFLE = 1, "the one permutation of all images' pixels"
    TRAIN = 2, "pixels of a training image", "example"
    TEST = 3, "pixels of a test image", "example"
    WATCHED = 4, "corrupted test images", "corruption"


class CorruptionDraw(Draw):
    """Folded into the key of `JobDraw.CORRUPTIONS`."""

    TRAIN = 1, "training images to train on", "corruption", "severity"
    TEST = 2, "test images", "corruption", "severity"
    SCORED = 3, "training images to be judged on, by C-score", "corruption", "severity"


LEVELS = (
    *(JobDraw, RunDraw, BlockDraw, FoldDraw, StreamDraw),
    *(PassDraw, AugmentDraw, PixelsDraw, CorruptionDraw),
)
# Draws whose keys are divided further: behind their own path comes that of each draw of the level.
DIVIDED = (
    (RunDraw.BLOCK, BlockDraw),
    (RunDraw.ORDER, StreamDraw),
    (RunDraw.PASS, StreamDraw),
    (RunDraw.PASS, PassDraw),
    (RunDraw.AUGMENT, AugmentDraw),
    (PassDraw.AUGMENT, AugmentDraw),
    (JobDraw.PIXELS, PixelsDraw),
    (JobDraw.CORRUPTIONS, CorruptionDraw),
)


def root_key(seed: int) -> jax.Array:
    """The key of a seed, into which all others are folded."""
    return jax.random.key(seed)


def run_key(seed: int, run: int | jax.Array) -> jax.Array:
    """The key of a run, by its number below 2^31; runs on subsets have `jaxgen.scores.designs.run_key`."""
    return jax.random.fold_in(root_key(seed), run)


def job_key(seed: int, draw: JobDraw, *numbers: int | jax.Array) -> jax.Array:
    """The key of what a job draws once; `numbers` are folded in behind it."""
    return subkey(root_key(seed), draw, *numbers)


def subkey(key: jax.Array, draw: Draw, *numbers: int | jax.Array) -> jax.Array:
    """The key of a draw of what `key` is the key of; `numbers` are folded in behind it, as `Draw.then` names them."""
    key = jax.random.fold_in(key, draw.number)
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key
