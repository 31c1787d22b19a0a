"""The names of all corruptions, in a module without JAX, so that flags can be defined quickly.

`jaxgen.transforms.corruptions` implements them.
"""

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

# New ones go at the end: random draws depend on a corruption's place.
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
    """The names that a flag asks for, each once.

    Args:
      names: of corruptions, or ``standard`` or ``all``.
      standard: what ``standard`` stands for.
      everything: what ``all`` stands for.
    """
    groups = {"standard": standard, "all": everything}
    return list(dict.fromkeys(name for word in names for name in groups.get(word, (word,))))
