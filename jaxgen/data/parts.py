"""Parts of a data set: its first examples, the centre of each image, a held-out test set; how it is normalized."""

import dataclasses

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.scaling import Scale, scale_values
from jaxgen.errors import UserError
from jaxgen.types import ChannelMoments, Dataset
from jaxgen.wording import count_of, some_of

# Images whose moments are computed at once, as they are in double precision.
IMAGES_AT_ONCE = 1000


def first_examples(dataset: Dataset, count: int, source: str) -> Dataset:
    """The data set with only its first `count` training examples (0: all); the classes stay."""
    if not count:
        return dataset
    if count > len(dataset.labels):
        raise UserError(
            f"--num_examples={count}: {source} has {len(dataset.labels)} training examples; give at most so many"
        )
    if len(np.unique(dataset.labels[:count])) < 2:
        raise UserError(f"--num_examples={count}: these examples are all of one class; take more")
    gone = np.setdiff1d(dataset.labels, dataset.labels[:count])
    names = some_of([dataset.class_names[label] for label in gone])
    notes = [f"the first {count:,} examples have none of {count_of(len(gone), 'class')}: {names}"]
    noted = dataclasses.replace(dataset, notes=(*dataset.notes, *(notes if len(gone) else [])))
    return take_rows(noted, slice(count))


def take_rows(dataset: Dataset, rows: np.ndarray | slice) -> Dataset:
    """The data set with only those of its training examples; features are filled and standardized by these."""
    labels, ids = dataset.labels[rows], dataset.ids[rows]
    if dataset.features is None:
        return dataclasses.replace(dataset, images=dataset.images[rows], labels=labels, ids=ids)
    features = dataset.features[rows]
    stored = scale_values(features, dataset.test_features, None, dataset.name, dataset.impute)
    return dataclasses.replace(
        dataset,
        images=stored.images,
        labels=labels,
        ids=ids,
        test_images=stored.test_images,
        features=features,
        shift=stored.scale.shift,
        spread=stored.scale.spread,
        fill=stored.scale.fill,
    )


def stored_rows(dataset: Dataset, rows: np.ndarray, by: Dataset) -> np.ndarray:
    """Training examples of a data set as `by`, a part of it, stores its own."""
    if dataset.features is None:
        return dataset.images[rows]
    return Scale(by.shift, by.spread, by.fill).apply(dataset.features[rows])


def first_test_examples(dataset: Dataset, count: int, source: str) -> Dataset:
    """The data set with only its first `count` test examples (0: all)."""
    if not count:
        return dataset
    available = 0 if dataset.test_labels is None else len(dataset.test_labels)
    if count > available:
        raise UserError(f"--num_test_examples={count}: {source} has {available} test examples; give at most so many")
    return dataclasses.replace(
        dataset,
        test_images=dataset.test_images[:count],
        test_labels=dataset.test_labels[:count],
        test_ids=None if dataset.test_ids is None else dataset.test_ids[:count],
        test_features=None if dataset.test_features is None else dataset.test_features[:count],
    )


def crop_center(dataset: Dataset, size: int, source: str) -> Dataset:
    """The data set with images cropped to their central `size` x `size` pixels (0: not cropped)."""
    if not size:
        return dataset
    if not dataset.has_images:
        raise UserError(f"--center_crop={size}: is for images, and {source} has rows of features; leave it out")
    height, width = dataset.images.shape[1:3]
    if size > min(height, width):
        raise UserError(f"--center_crop={size}: {source} has images of {height}x{width} pixels; take less")
    rows = slice((height - size) // 2, (height - size) // 2 + size)
    columns = slice((width - size) // 2, (width - size) // 2 + size)
    images, tests = (
        None if array is None else np.ascontiguousarray(array[:, rows, columns])
        for array in (dataset.images, dataset.test_images)
    )
    return dataclasses.replace(dataset, images=images, test_images=tests)


def normalized(dataset: Dataset, spec: DataSpec, source: str) -> Dataset:
    """The data set whose images networks see as ``--whiten`` and ``--normalize_channels`` say."""
    return with_normalized_channels(whitened(dataset, spec.whiten, source), spec.normalize_channels, source)


def whitened(dataset: Dataset, whiten: bool, source: str) -> Dataset:
    """The data set, if `whiten` with each image standardised to mean 0 and deviation 1 before the network."""
    if whiten and not dataset.has_images:
        raise UserError(f"--whiten: is for images, and {source} has rows of features; leave it out")
    return dataclasses.replace(dataset, whiten=whiten)


def with_normalized_channels(dataset: Dataset, normalize: bool, source: str) -> Dataset:
    """The data set, if `normalize` with each channel standardized by its moments over all training images."""
    if not normalize:
        return dataset
    if not dataset.has_images:
        raise UserError(
            f"--normalize_channels: is for images, and {source} has rows of features, which are standardized anyway; "
            "leave it out"
        )
    return dataclasses.replace(dataset, channel_moments=channel_moments(dataset.images, dataset.scale))


def channel_moments(images: np.ndarray, scale: float) -> ChannelMoments:
    """Mean and standard deviation of each channel of ``images [n, h, w, d]``, of stored values times `scale`."""
    axes = (0, 1, 2)
    mean = images.mean(axes, dtype=np.float64)
    parts = (images[start : start + IMAGES_AT_ONCE] for start in range(0, len(images), IMAGES_AT_ONCE))
    squares = sum(np.square(part - mean).sum(axes) for part in parts)
    # Rounding can make the computed deviation of a constant channel positive, so its range decides.
    deviation = np.where(np.ptp(images, axes) > 0, scale * np.sqrt(squares / images[..., 0].size), 1.0)
    return ChannelMoments(tuple((scale * mean).tolist()), tuple(deviation.tolist()))


def hold_out_test(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with a `share` of its training examples, stratified by class, as its test set, if it has none.

    Raises:
      UserError: if there are too few examples for that.
    """
    if dataset.test_labels is not None:
        return dataset
    if not share:
        raise UserError(f"--test_share=0: {dataset.name} has no test set; give a share to be held out, such as 0.2")
    from sklearn.model_selection import train_test_split

    positions = np.arange(len(dataset.labels))
    try:
        train, held_out = train_test_split(positions, test_size=share, random_state=seed, stratify=dataset.labels)
    except ValueError:
        counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
        rarest, name = counts.min(), dataset.class_names[counts.argmin()]
        if rarest < 2:
            raise UserError(
                f"{dataset.name}: has {rarest} example of the class {name}, and a test set needs one of its own; leave "
                "the class out, merge it with another, or give data with a test set"
            ) from None
        raise UserError(
            f"--test_share={share:g}: cannot be held out of {len(positions)} examples in {dataset.num_classes} "
            f"classes, the rarest of {rarest}; change it, or give data with a test set"
        ) from None
    return split_off(dataset, train, held_out)


def hold_out_rest(dataset: Dataset, count: int, seed: int) -> Dataset:
    """The data set with `count` of its training examples, stratified by class, and the rest as its test set.

    Raises:
      UserError: if one of the two would lack a class.
    """
    from sklearn.model_selection import train_test_split

    positions = np.arange(len(dataset.labels))
    try:
        train, held_out = train_test_split(positions, train_size=count, random_state=seed, stratify=dataset.labels)
    except ValueError:
        raise UserError(
            f"--test_set=rest: {count} of {len(positions)} examples in {dataset.num_classes} classes, the rarest of "
            f"{np.bincount(dataset.labels).min()}, leave too few to test on; take smaller samples, or leave it out"
        ) from None
    return split_off(dataset, train, held_out)


def split_off(dataset: Dataset, train: np.ndarray, held_out: np.ndarray) -> Dataset:
    """The data set with the training examples at the positions `train`, and those at `held_out` as its test set.

    Channels are normalized, and features filled and standardized, by the remaining training examples.
    """
    train, held_out = np.sort(train), np.sort(held_out)
    moments = channel_moments(dataset.images[train], dataset.scale) if dataset.channel_moments else None
    tested = dataclasses.replace(
        dataset,
        test_images=dataset.images[held_out],
        test_labels=dataset.labels[held_out],
        test_ids=dataset.ids[held_out],
        test_features=None if dataset.features is None else dataset.features[held_out],
        channel_moments=moments,
    )
    return take_rows(tested, train)
