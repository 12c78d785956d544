"""What a frozen backbone says of every picture, computed once."""

import functools
import hashlib
import logging
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from trainers.config import Config
from trainers.run_directory import RunDirectory
from vision import data
from vision.data import BadFiles, Features, Source
from vision.models import Network
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


class FeatureCache:
    """The features of each split, computed or read from a file when first asked for.

    The files lie in `cache_dir`, by default beside the pictures, and in the run
    directory where there are neither.

    Args:
        config: the run's settings.
        specification: how pictures are prepared.
        source: the pictures, as they were loaded.
        network: whose stages are frozen.
        directory: of the run.
        bad_files: where pictures that cannot be decoded are recorded.
    """

    def __init__(self, config: Config, specification: Specification, source: Source,
                 network: Network, directory: RunDirectory, bad_files: BadFiles):
        self._config = config
        self._specification = specification
        self._source = source
        self._network = network
        self._directory = directory
        self._bad_files = bad_files

    @functools.cached_property
    def splits(self) -> dict[str, Features]:
        """The features of each split."""
        key = self._key()
        size = self._specification.image_size
        function = tf.function(
            self._network.features, autograph=False,
            input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])
        return {name: self._extract(name, function, key) for name in data.SPLITS}

    def _extract(self, name: str, function: tf.types.experimental.PolymorphicFunction,
                 key: str) -> Features:
        split = self._source.splits[name]
        # Only on a terminal, and only where it takes long enough to be looked at.
        with tqdm(total=len(split), desc=f'Features of {name}', unit=' pictures',
                  leave=False, disable=None, delay=2) as bar:

            def show(done: int, total: int) -> None:
                del total
                bar.update(done - bar.n)

            return data.extract_features(split, function, self._network.head.features,
                                         image_size=self._specification.image_size,
                                         batch_size=self._config.batch_size, key=key,
                                         folder=self._folder(),
                                         bad_files=self._bad_files, progress=show)

    def _folder(self) -> Path:
        if self._config.cache_dir:
            return Path(self._config.cache_dir)
        if self._config.data_dir:
            return data.cache_folder(self._config.data_dir)
        return self._directory.path / 'features'

    def _key(self) -> str:
        """Changes with the weights, the arithmetic, and how pictures are prepared."""
        digest = hashlib.blake2b(digest_size=16)
        for stage in self._network.stages.values():
            for variable in stage.variables:
                digest.update(variable.numpy().tobytes())
        prepared = (self._specification.model, dict(self._specification.options),
                    self._specification.normalization, self._network.head.pooling,
                    self._network.dtype.name, tf.__version__)
        digest.update(repr(prepared).encode())
        return digest.hexdigest()
