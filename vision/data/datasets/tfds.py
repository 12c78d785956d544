"""Classification datasets of TensorFlow Datasets, read from their prepared files."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vision.data.datasets.layout import SPLIT_NAMES, complete, typical_size
from vision.data.source import DatasetError, HeldOut, RangeSplit, Source
from vision.data.storage.index import CACHE, write_cache
from vision.errors import suggestion

# tensorflow_datasets is imported where it is used: that takes a second.

# Names with a namespace are refused: TFDS looks them up in the network.
_NAME = re.compile(r'(?P<dataset>[A-Za-z]\w*)(/[\w.+-]+)?(:[0-9.*]+)?')
_BATCH = 256  # Records that are parsed at once.
_HEADER, _FOOTER = 12, 4  # Bytes around a TFRecord's data: its length, checksums.
_WORTH_KEEPING = 10_000  # Images; fewer are found in a second.


class _Index(NamedTuple):
    """Where the N encoded images of one split are; the contents of the index file.

    Attributes:
        labels: int32 [N].
        ranges: int64 [N, 2], offset and length in bytes within the shard.
        counts: int64 [shards], images in each.
    """

    labels: np.ndarray
    ranges: np.ndarray
    counts: np.ndarray


def load(name: str, data_dir: str, held_out: HeldOut) -> Source:
    """Any prepared dataset of TensorFlow Datasets with one image and one class label.

    The images stay where they are, in TFRecord files. These are read once to find
    them; of many, an index is kept in `.tapestry` beside the files
    until these change. What is missing of the splits train, validation and test, or has
    no labels (-1), is taken from each class of train; other splits are not used.

    Args:
        name: `<name>`, `<name>/<config>`, either with `:<version>`.
        data_dir: the data directory of TFDS; '' for its default.

    Raises:
        DatasetError: the dataset is unknown or not prepared, has other features or
            another file format, or is damaged.
    """
    info = _prepared(name, data_dir).info
    image_key, label_key = _keys(name, info)
    ready = {}
    for split, part in info.splits.items():
        if split in SPLIT_NAMES and part.num_examples:
            images = _split(part, image_key, label_key)
            if (images.labels != -1).any():
                ready[SPLIT_NAMES[split]] = images
    if 'train' not in ready:
        raise DatasetError(
            f'tfds:{name}: expected a split train with labels, got '
            f'{", ".join(info.splits) or "no split"}.'
        )
    height, width, _ = info.features[image_key].shape
    fixed = height is not None and height == width
    return Source(
        f'tfds:{name}',
        tuple(info.features[label_key].names),
        image_size=height if fixed else typical_size(ready['train']),
        splits=complete(ready, held_out),
        fixed_size=fixed,
    )


def prepare(name: str, data_dir: str) -> None:
    """Downloads a dataset and prepares its files; TFDS shows the progress.

    Nothing happens where that has been done.

    Args:
        name: as in `load`.
        data_dir: as in `load`.

    Raises:
        DatasetError: that fails; the message has the reason that TFDS gives.
    """
    import tensorflow_datasets

    _check_known(name)
    try:
        tensorflow_datasets.builder(
            name, data_dir=data_dir or None, file_format='tfrecord'
        ).download_and_prepare()
    # The code of a dataset can raise any exception.
    except Exception as error:
        raise DatasetError(f'tfds:{name} could not be prepared: {error}') from error


def _prepared(name: str, data_dir: str) -> Any:
    """The builder made from the files alone: the dataset's code is not needed."""
    from tensorflow_datasets.core import (
        DatasetNotFoundError,
        FileFormat,
        constants,
        read_only_builder,
    )

    _dataset(name)  # Refuses what is no name.
    try:
        builder = read_only_builder.builder_from_files(name, data_dir=data_dir or None)
    except DatasetNotFoundError:
        _check_known(name)
        raise DatasetError(
            f'tfds:{name} is not prepared in '
            f'{data_dir or constants.DATA_DIR}; prepare it or pass the data_dir that '
            'holds it.',
            'data_dir',
            'download',
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f'tfds:{name} cannot be read: {error}') from error
    if builder.info.file_format != FileFormat.TFRECORD:
        raise DatasetError(
            f'tfds:{name}: expected files in the format tfrecord, got '
            f'{builder.info.file_format.value} in {builder.info.data_dir}. Prepare it '
            "with file_format='tfrecord' in another data_dir.",
            'data_dir',
            'download',
        )
    return builder


def _check_known(name: str) -> None:
    import tensorflow_datasets

    word = _dataset(name)
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    if word not in known:
        raise DatasetError(
            'Expected a dataset of TensorFlow Datasets, or one that is prepared in the '
            f'data directory, got {name!r}.{suggestion(word, known)}',
            'dataset',
            'data_dir',
        )


def _dataset(name: str) -> str:
    """The name without configuration and version."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise DatasetError(
            'Expected tfds:<name>, with /<config> or :<version> where '
            f'these are needed, got {name!r}.',
            'dataset',
        )
    return match['dataset']


def _keys(name: str, info: Any) -> tuple[str, str]:
    """The names of an image and its label: the supervised pair, or the only ones."""
    from tensorflow_datasets import features as kinds

    features = info.features if isinstance(info.features, kinds.FeaturesDict) else {}
    images = [
        key
        for key, feature in features.items()
        if type(feature) is kinds.Image
        and feature.np_dtype == np.uint8
        and len(feature.shape) == 3
    ]
    labels = [
        key
        for key, feature in features.items()
        if type(feature) is kinds.ClassLabel and feature.num_classes
    ]
    pairs = list(product(images, labels))
    if info.supervised_keys in pairs:
        return info.supervised_keys
    if len(pairs) == 1:
        return pairs[0]
    described = ', '.join(
        sorted(f'{key}: {type(feature).__name__}' for key, feature in features.items())
    )
    raise DatasetError(
        f'tfds:{name}: expected one Image of uint8 and one ClassLabel, '
        f'got {described or info.features}. Choose a dataset for the '
        'classification of images.'
    )


def _split(part: Any, image_key: str, label_key: str) -> RangeSplit:
    shards = [Path(path) for path in part.filepaths]
    folder = shards[0].parent
    again = 'Remove the folder and prepare it again.'
    try:
        index = _index(
            shards, folder / CACHE / f'{part.name}.npz', image_key, label_key
        )
    except (OSError, tf.errors.OpError) as error:
        raise DatasetError(
            f'{folder}: expected the whole split {part.name}, got: {error} {again}'
        ) from error
    if len(index.labels) != part.num_examples:
        raise DatasetError(
            f'{folder}: expected {part.num_examples} images in the split {part.name}, '
            f'got {len(index.labels)}. {again}'
        )
    names, paths = [], []
    for shard, images in zip(shards, index.counts):
        names += [f'{shard.name}/{i:05d}' for i in range(images)]
        paths += [str(shard)] * images
    return RangeSplit(index.labels, names, paths, index.ranges)


def _index(
    shards: Sequence[Path], file: Path, image_key: str, label_key: str
) -> _Index:
    """The index in a file, if it is that of these shards, or else a new one."""
    stamp = np.array([(s.st_size, s.st_mtime_ns) for s in map(Path.stat, shards)])
    try:
        # NumPy leaves a damaged file open that it has opened itself.
        with open(file, 'rb') as contents, np.load(contents) as saved:
            if np.array_equal(saved['stamp'], stamp):
                return _Index(*(saved[field] for field in _Index._fields))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # None yet, or a damaged one.
    images = [list(_images(shard, image_key, label_key)) for shard in shards]
    table = np.array(list(chain(*images)), np.int64).reshape(-1, 3)
    index = _Index(
        labels=table[:, 0].astype(np.int32),
        ranges=table[:, 1:],
        counts=np.array([len(rows) for rows in images]),
    )
    if len(index.labels) > _WORTH_KEEPING:
        archive = io.BytesIO()
        np.savez(archive, stamp=stamp, **index._asdict())
        write_cache(file, archive.getvalue())
    return index


def _images(
    shard: Path, image_key: str, label_key: str
) -> Iterator[tuple[int, int, int]]:
    """The label, offset and length of each image; TensorFlow checks the checksums."""
    wanted = {
        image_key: tf.io.FixedLenFeature([], tf.string),
        label_key: tf.io.FixedLenFeature([], tf.int64),
    }
    start = 0
    for batch in tf.data.TFRecordDataset(str(shard)).batch(_BATCH):
        # Not in a graph: to make one takes longer than to read a small shard.
        parsed = tf.io.parse_example(batch, wanted)
        columns = (batch, parsed[image_key], parsed[label_key])
        for record, image, label in zip(*(column.numpy() for column in columns)):
            yield int(label), start + _HEADER + record.index(image), len(image)
            start += _HEADER + len(record) + _FOOTER
