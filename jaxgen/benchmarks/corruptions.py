"""The 15 standard corruptions at all five severities: seconds, beside the library that others take.

* ``jaxgen``: `jaxgen.transforms.corruptions`, batch by batch.
* ``imagecorruptions``: the package of that name, image by image as it is made to be called, if it is installed. It
  is timed on a few of the images, and what it takes for all follows by proportion. Its constants are those for images
  of 224 pixels; where it fails, its message stands in the table.

Both work on random images in the host's memory and give images there; compiling is not in the seconds.
"""

import importlib.util
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.benchmarks.interleaved import InterleavedBenchmark, describe_machine, describe_ratio
from jaxgen.config import BenchSpec

# Of the images, by which the library is timed.
FEW = 8
SEVERITIES = (1, 2, 3, 4, 5)


def draw_images(spec: BenchSpec) -> np.ndarray:
    """Random images, smooth as pictures are: noise of a quarter of the side, enlarged."""
    height, width, depth = spec.image_shape
    coarse = np.random.default_rng(0).integers(
        0, 256, (spec.bench_images, -(-height // 4), -(-width // 4), depth), np.uint8
    )
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2)[:, :height, :width]


def engine_way(spec: BenchSpec) -> Iterator[Any]:
    """Corruptions asked for by name: seconds for all images at all severities."""
    import jax

    from jaxgen.transforms.corruptions import BATCH_SIZE, corrupt_in_batches

    images, key, answer = draw_images(spec), jax.random.key(0), None
    ready: set[str] = set()
    while True:
        name = yield answer
        if name not in ready:
            corrupt_in_batches(name, key, images[:BATCH_SIZE], severity=1)
            ready.add(name)
        began = time.perf_counter()
        for severity in SEVERITIES:
            corrupt_in_batches(name, key, images, severity=severity)
        answer = time.perf_counter() - began


def library_way(spec: BenchSpec) -> Iterator[Any]:
    """Corruptions asked for by name: seconds for all images by those for a few, or what went wrong."""
    images, answer = draw_images(spec)[:FEW], None
    while True:
        name = yield answer
        try:
            answer = time_library(name, images) * spec.bench_images / len(images)
        # Whatever the library raises is to be reported, and all of it comes from versions of what it builds on.
        except Exception as error:  # noqa: BLE001
            answer = " ".join(f"{type(error).__name__}: {error}".replace("|", "/").split())


def time_library(name: str, images: np.ndarray) -> float:
    """Seconds of imagecorruptions for all severities of `images`; a first image warms up."""
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
    from jaxgen.transforms.corruptions import STANDARD, check_images

    check_images(draw_images(spec)[:1])
    ways = {"jaxgen": engine_way}
    if has_library():
        ways["library"] = library_way
    seconds: dict[tuple[str, str], list[float]] = {}
    failed: dict[str, str] = {}
    with InterleavedBenchmark(ways, spec) as turns:
        for _ in range(spec.rounds):
            for name, way in [(name, way) for name in STANDARD for way in ways]:
                answer = turns.ask(way, name)
                if isinstance(answer, str):
                    failed[name] = answer
                else:
                    seconds.setdefault((way, name), []).append(answer)
    return to_text(spec, seconds, failed)


def has_library() -> bool:
    """Whether imagecorruptions is installed; it is no requirement."""
    return importlib.util.find_spec("imagecorruptions") is not None


def to_text(spec: BenchSpec, seconds: dict[tuple[str, str], list[float]], failed: dict[str, str]) -> str:
    """Markdown: a row for each corruption, one for those both ways can do, one for all; medians over rounds."""
    from jaxgen.transforms.corruptions import STANDARD

    shape = "x".join(map(str, spec.image_shape))
    beside = "no imagecorruptions"
    if has_library():
        beside = f"imagecorruptions on {min(FEW, spec.bench_images)} of them, in proportion"
    lines = [
        f"{spec.bench_images:,} images of {shape}, severities 1 to 5; {beside}; {spec.rounds} rounds; "
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
        own = np.sum([seconds["jaxgen", name] for name in names], 0)
        other, ratio = "", ""
        if set(names) <= set(both):
            taken = np.sum([seconds["library", name] for name in names], 0)
            other, ratio = f"{np.median(taken):.3g}", describe_ratio(taken / own)
        elif len(names) == 1:
            other = failed.get(names[0], "")
        lines.append(f"| {title} | {np.median(own):.3g} | {other} | {ratio} |")
    return "\n".join(lines)
