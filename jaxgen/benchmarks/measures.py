"""The measures by their names on the command line."""

from collections.abc import Callable

from jaxgen.benchmarks.corruptions import measure_corruptions
from jaxgen.benchmarks.heads import measure_heads
from jaxgen.benchmarks.images import measure_images
from jaxgen.benchmarks.influence import measure_influence
from jaxgen.benchmarks.label_noise import measure_label_noise
from jaxgen.benchmarks.launchers import measure_launchers
from jaxgen.benchmarks.oversampling import measure_oversampling
from jaxgen.benchmarks.precision import measure_precision
from jaxgen.benchmarks.scaling import measure_scaling
from jaxgen.benchmarks.speed import measure_speed
from jaxgen.benchmarks.store import measure_store
from jaxgen.benchmarks.width import measure_members
from jaxgen.config import BenchSpec

# From a value of --measure to the function that returns the text to show.
MEASURES: dict[str, Callable[[BenchSpec], str]] = {
    "speed": measure_speed,
    "scaling": measure_scaling,
    "images": measure_images,
    "members": measure_members,
    "precision": measure_precision,
    "label_noise": measure_label_noise,
    "corruptions": measure_corruptions,
    "oversampling": measure_oversampling,
    "heads": measure_heads,
    "influence": measure_influence,
    "launchers": measure_launchers,
    "store": measure_store,
}
