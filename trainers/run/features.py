"""The outputs of a frozen backbone for every image, computed once."""

import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from trainers.run.caching import cache_folder, image_bar
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import Config
from trainers.storage.run_directory import RunDirectory
from vision import data
from vision.data import BadFiles, Features, Source
from vision.models import Network
from vision.models.specification import Specification

# Options of the layers behind the features.
_HEAD_OPTIONS = {'pooling', 'dense', 'auxiliary'}

_log = logging.getLogger(__name__)


class FeatureCache:
    """The features of each split, computed or read from a file at the first access.

    The files are in `cache_dir`, by default beside the images, and in the run directory
    if the images have no folder.

    Args:
        config: the run's settings.
        specification: how images are prepared.
        source: the images, as they were loaded.
        network: its stages are frozen.
        directory: of the run.
        bad_files: records images that cannot be decoded.
        stop: set when a signal came.
    """

    def __init__(
        self,
        config: Config,
        specification: Specification,
        source: Source,
        network: Network,
        directory: RunDirectory,
        bad_files: BadFiles,
        stop: StopRequest,
    ):
        self._config = config
        self._specification = specification
        self._source = source
        self._network = network
        self._directory = directory
        self._bad_files = bad_files
        self._stop = stop

    @functools.cached_property
    def splits(self) -> dict[str, Features]:
        """The features of each split.

        Raises:
            Stopped: a signal came; the splits that are complete are kept.
            UserError: they cannot be computed or written.
        """
        key = self._key()
        size = self._specification.image_size
        function = tf.function(
            self._network.features,
            autograph=False,
            input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)],
        )
        return {name: self._extract(name, function, key) for name in data.SPLITS}

    def _extract(
        self, name: str, function: Callable[[tf.Tensor], tf.Tensor], key: str
    ) -> Features:
        split = self._source.splits[name]
        with image_bar(f'Features of {name}', len(split)) as show:

            def report(done: int, total: int) -> None:
                show(done, total)
                if done <= self._config.batch_size:  # the first batch
                    _log.info(
                        'Features    of %s images of %s are computed once.',
                        f'{total:,}',
                        name,
                    )
                if self._stop and done < total:
                    raise Stopped(
                        f'{self._stop.signal_name} received: the features of '
                        f'{done:,} of {total:,} images of {name} are lost; those of '
                        'complete splits are kept. Run the same command again to '
                        'resume.'
                    )

            return data.extract_features(
                split,
                function,
                self._network.head.features,
                image_size=self._specification.image_size,
                batch_size=self._config.batch_size,
                key=key,
                folder=self._folder(),
                bad_files=self._bad_files,
                progress=report,
            )

    def _folder(self) -> Path:
        if self._config.cache_dir or self._config.data_dir:
            return cache_folder(self._config)
        return self._directory.path / 'features'

    def _key(self) -> str:
        """A digest of the weights, the arithmetic, and the preparation of images."""
        digest = hashlib.blake2b(digest_size=16)
        for stage in self._network.stages.values():
            for variable in stage.variables:
                digest.update(variable.numpy().tobytes())
        options = {
            name: value
            for name, value in self._specification.options.items()
            if name not in _HEAD_OPTIONS
        }
        settings = (
            self._specification.model,
            options,
            self._specification.normalization,
            self._network.head.pooling,
            self._network.dtype.name,
            tf.__version__,
        )
        digest.update(repr(settings).encode())
        return digest.hexdigest()
