"""The names of all corruptions, known without JAX; `jaxgen.transforms.corruptions` is what they do."""

from collections.abc import Sequence

# The 15 of CIFAR-10-C and ImageNet-C, in their order.
STANDARD = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "gaussian_blur",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "spatter",
    "brightness",
    "contrast",
    "saturate",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "occlusion",
    "posterize",
    "invert",
    "night",
    "grayscale",
    "rotate",
    "shear",
    "translate",
    "scale",
    "stripe",
    "dotted_line",
    "zigzag",
    "canny_edges",
)


def spell_out(names: Sequence[str], standard: Sequence[str], everything: Sequence[str]) -> list[str]:
    """Names, with ``standard`` and ``all`` spelt out; each once."""
    spelt = {"standard": standard, "all": everything}
    return list(dict.fromkeys(name for one in names for name in spelt.get(one, (one,))))
