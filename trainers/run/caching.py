"""Decoding a dataset once before training, as `cache` sets."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from trainers.reporting.progress import task_bar
from trainers.settings.config import Config, ConfigError
from vision import data
from vision.data import ArraySplit, BadFiles, Source, Split
from vision.data.augment import Augmenter


def decoded(config: Config, source: Source, bad_files: BadFiles) -> Source:
    """The source with its images decoded as `cache` sets; the batches are the same.

    Raises:
        ConfigError: the run needs images of several sizes.
        DatasetError: the images cannot be written to the disk.
    """
    sides = {
        name: side
        for name, side in _sides(config, source).items()
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


def _sides(config: Config, source: Source) -> dict[str, int]:
    """Side in pixels at which each split's images are needed; 0: their own size."""
    size = config.image_size or source.image_size
    sides = dict.fromkeys(source.splits, size)
    # Crops are taken from the full resolution, and so is each size of a schedule;
    # without them the resize is paid once.
    if Augmenter(config.augment, size).crops or config.image_size_schedule:
        sides['train'] = source.image_size if source.fixed_size else 0
    return sides


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
            folder = cache_folder(config)
            return data.decode_to_disk(split, side, folder, bad_files, show)
        return data.decode_to_memory(split, side, bad_files, show)
