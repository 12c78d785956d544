"""What is computed once before training: decoded images, and features of them."""

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from trainers.reporting.progress import task_bar
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import Config, ConfigError
from vision import data
from vision.data import ArraySplit, BadFiles, Features, Source, Split
from vision.data.augment import Augmenter
from vision.models import Network
from vision.models.specification import Specification

# Options of the layers behind the features.
_HEAD_OPTIONS = {'pooling', 'dense', 'auxiliary'}

_log = logging.getLogger(__name__)


def decoded(
    config: Config, image_size: int, source: Source, bad_files: BadFiles
) -> Source:
    """The source with its images decoded as `cache` sets; the batches are the same.

    Args:
        config: the run's settings.
        image_size: side in pixels of the images to evaluate on.
        source: the images, as they were loaded.
        bad_files: records images that cannot be decoded.

    Raises:
        ConfigError: the run needs images of several sizes.
        DatasetError: the images cannot be written to the disk.
    """
    # Side in pixels at which each split's images are needed; 0: their own size. Crops
    # are taken from the full resolution, and so is each size of a schedule; without
    # them the resize is paid once.
    sides = dict.fromkeys(source.splits, image_size)
    if Augmenter(config.augment, image_size).crops or config.image_size_schedule:
        sides['train'] = source.image_size if source.fixed_size else 0
    sides = {
        name: side
        for name, side in sides.items()
        if not isinstance(source.splits[name], ArraySplit)
    }
    if config.cache == 'auto':
        sides = {name: side for name, side in sides.items() if side}
        share = 0.25 / max(len(sides), 1)
        keep = all(
            data.fits_in_memory(len(source.splits[name]), side, share)
            for name, side in sides.items()
        )
        sides = sides if keep else {}
    if config.cache == 'off' or not sides:
        return source
    if not all(sides.values()):
        raise ConfigError(
            f'--cache={config.cache} keeps images of one size, but crops and '
            '--image_size_schedule need the full ones, and these differ in size. Pass '
            '--cache=auto or --cache=off.'
        )
    splits = {
        name: _decode(config, name, source.splits[name], side, bad_files)
        for name, side in sides.items()
    }
    # Decoded images may have another size than the source's own.
    return dataclasses.replace(
        source, splits={**source.splits, **splits}, fixed_size=False
    )


def cache_folder(config: Config) -> Path:
    """The folder of decoded images and features.

    Raises:
        DatasetError: neither `cache_dir` nor `data_dir` is set.
    """
    return Path(config.cache_dir or data.cache_folder(config.data_dir))


@contextlib.contextmanager
def image_bar(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for what takes longer than 2 seconds.

    Yields:
        A function to call with (images done, images in all).
    """
    with task_bar(title, total, unit=' images', leave=False, delay=2) as bar:
        yield lambda done, total: bar.update(done - bar.n)


def _decode(
    config: Config, name: str, split: Split, side: int, bad_files: BadFiles
) -> Split:
    with image_bar(f'Decoding {name}', len(split)) as show:
        if config.cache == 'disk':
            return data.decode_to_disk(
                split, side, cache_folder(config), bad_files, show
            )
        return data.decode_to_memory(split, side, bad_files, show)


def extract_features(
    config: Config,
    specification: Specification,
    source: Source,
    network: Network,
    run_dir: Path,
    bad_files: BadFiles,
    stop: StopRequest,
) -> dict[str, Features]:
    """The outputs of a frozen backbone for each split, computed or read from a file.

    The files are in `cache_dir`, by default beside the images, and in the run directory
    if the images have no folder.

    Args:
        config: the run's settings.
        specification: how images are prepared.
        source: the images, as they were loaded.
        network: its stages are frozen.
        run_dir: directory of the run.
        bad_files: records images that cannot be decoded.
        stop: set when a signal came.

    Raises:
        Stopped: a signal came; the splits that are complete are kept.
        UserError: they cannot be computed or written.
    """
    size = specification.image_size
    function = tf.function(
        network.features,
        autograph=False,
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)],
    )
    key = _features_key(specification, network)
    features = {}
    for name in data.SPLITS:
        split = source.splits[name]
        with image_bar(f'Features of {name}', len(split)) as show:
            features[name] = data.extract_features(
                split,
                function,
                network.head.features,
                image_size=size,
                batch_size=config.batch_size,
                key=key,
                folder=(
                    cache_folder(config)
                    if config.cache_dir or config.data_dir
                    else run_dir / 'features'
                ),
                bad_files=bad_files,
                progress=_reported(name, config.batch_size, stop, show),
            )
    return features


def _reported(
    name: str, batch_size: int, stop: StopRequest, show: Callable[[int, int], None]
) -> Callable[[int, int], None]:
    """Shows the progress of a split's features, and stops at a signal."""

    def report(done: int, total: int) -> None:
        show(done, total)
        if done <= batch_size:  # the first batch
            _log.info(
                'Features    of %s images of %s are computed once.', f'{total:,}', name
            )
        if stop and done < total:
            raise Stopped(
                f'{stop.signal_name} received: the features of {done:,} of {total:,} '
                f'images of {name} are lost; those of complete splits are kept. Run '
                'the same command again to resume.'
            )

    return report


def _features_key(specification: Specification, network: Network) -> str:
    """A digest of the weights, the arithmetic, and the preparation of images."""
    digest = hashlib.blake2b(digest_size=16)
    for stage in network.stages.values():
        for variable in stage.variables:
            digest.update(variable.numpy().tobytes())
    options = {
        name: value
        for name, value in specification.options.items()
        if name not in _HEAD_OPTIONS
    }
    digest.update(
        repr(
            (
                specification.model,
                options,
                specification.normalization,
                network.head.pooling,
                network.dtype.name,
                tf.__version__,
            )
        ).encode()
    )
    return digest.hexdigest()
