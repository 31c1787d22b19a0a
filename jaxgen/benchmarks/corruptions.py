"""The 15 standard corruptions at all five severities: seconds, beside the library that others take.

* ``jaxgen``: `jaxgen.transforms.corruptions`, batch by batch.
* ``imagecorruptions``: the package of that name, image by image as it is made to be called, if it is installed. It
  is timed on a few of the images, and what it takes for all follows by proportion. Its constants are those for images
  of 224 pixels; where it fails, its message stands in the table.

Both work on random images in the host's memory and give images there; compiling is not in the seconds.
"""

import importlib.util
import time

import jax
import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, Prepared, describe_machine, describe_ratio
from jaxgen.config import BenchSpec
from jaxgen.transforms.corruptions import BATCH_SIZE, STANDARD, check_images, corrupt_in_batches
from jaxgen.wording import count_of

# Images on which the library is timed.
NUM_TIMED = 8
SEVERITIES = (1, 2, 3, 4, 5)


def draw_images(spec: BenchSpec) -> np.ndarray:
    """Random images, smooth as pictures are: noise of a quarter of the side, enlarged."""
    height, width, depth = spec.image_shape
    coarse = np.random.default_rng(0).integers(
        0, 256, (spec.bench_images, -(-height // 4), -(-width // 4), depth), np.uint8
    )
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2)[:, :height, :width]


def engine_contender(spec: BenchSpec) -> Prepared:
    """By the name of a corruption: seconds for all images at all severities, compiling not counted."""
    images, key = draw_images(spec), jax.random.key(0)
    compiled: set[str] = set()

    def run(name: str) -> float:
        if name not in compiled:
            corrupt_in_batches(name, key, images[:BATCH_SIZE], severity=1)
            compiled.add(name)
        began = time.perf_counter()
        for severity in SEVERITIES:
            corrupt_in_batches(name, key, images, severity=severity)
        return time.perf_counter() - began

    return Prepared(run)


def library_contender(spec: BenchSpec) -> Prepared:
    """By the name of a corruption: seconds for all images, extrapolated from a few, or the message of a failure."""
    images = draw_images(spec)[:NUM_TIMED]

    def run(name: str) -> float | str:
        try:
            return time_library(name, images) * spec.bench_images / len(images)
        # The library may raise anything: it fails with today's versions of what it builds on.
        except Exception as error:  # noqa: BLE001
            return " ".join(f"{type(error).__name__}: {error}".replace("|", "/").split())

    return Prepared(run)


def time_library(name: str, images: np.ndarray) -> float:
    """Seconds of imagecorruptions for all severities of `images`; a first image warms up."""
    # Imported here: the package may be missing.
    from imagecorruptions import corrupt

    corrupt(images[0], corruption_name=name, severity=1)
    began = time.perf_counter()
    for severity in SEVERITIES:
        for image in images:
            corrupt(image, corruption_name=name, severity=severity)
    return time.perf_counter() - began


def measure_corruptions(spec: BenchSpec) -> str:
    """The table of seconds for each corruption, their sum, and how often ours is as fast.

    Raises:
      UserError: for images that cannot be corrupted.
    """
    check_images(draw_images(spec)[:1])
    contenders = {"jaxgen": engine_contender}
    if has_library():
        contenders["library"] = library_contender
    with InterleavedBenchmark(contenders, spec) as benchmark:
        turns = benchmark.run_rounds(STANDARD * spec.rounds)
    seconds: dict[tuple[str, str], list[float]] = {}
    failures: dict[str, str] = {}
    for contender in contenders:
        for name, turn in zip(STANDARD * spec.rounds, turns[contender], strict=True):
            if isinstance(turn.result, str):
                failures[name] = turn.result
            else:
                seconds.setdefault((contender, name), []).append(turn.result)
    return to_text(spec, seconds, failures)


def has_library() -> bool:
    """Whether imagecorruptions is installed; it is no requirement."""
    return importlib.util.find_spec("imagecorruptions") is not None


def to_text(spec: BenchSpec, seconds: dict[tuple[str, str], list[float]], failures: dict[str, str]) -> str:
    """Markdown: a row for each corruption, one for those that both can do, one for all; medians over rounds."""
    shape = "x".join(map(str, spec.image_shape))
    beside = "no imagecorruptions"
    if has_library():
        beside = f"imagecorruptions on {min(NUM_TIMED, spec.bench_images)} of them, in proportion"
    lines = [
        f"{spec.bench_images:,} images of {shape}, severities 1 to 5; {beside}; {count_of(spec.rounds, 'round')}; "
        f"{describe_machine()}",
        "",
        "| corruption | jaxgen, s | imagecorruptions, s | imagecorruptions / jaxgen |",
        "| --- " * 4 + "|",
    ]
    both = [name for name in STANDARD if ("library", name) in seconds]
    groups = [(name, [name]) for name in STANDARD]
    if both:
        groups.append((f"the {len(both)} that imagecorruptions can do", both))
    for title, names in [*groups, (f"all {len(STANDARD)}", list(STANDARD))]:
        engine = np.sum([seconds["jaxgen", name] for name in names], 0)
        other, ratio = "", ""
        if set(names) <= set(both):
            library = np.sum([seconds["library", name] for name in names], 0)
            other, ratio = f"{np.median(library):.3g}", describe_ratio(library / engine)
        elif len(names) == 1:
            other = failures.get(names[0], "")
        lines.append(f"| {title} | {np.median(engine):.3g} | {other} | {ratio} |")
    return "\n".join(lines)
