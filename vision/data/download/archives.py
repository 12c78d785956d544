"""The datasets that can be downloaded, and their installation into a folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from vision.data.download.download import download, locked
from vision.data.download.extract import extract
from vision.data.source import DatasetError
from vision.errors import suggestion

# (what is being done, bytes done, bytes in all if known)
LabelledProgress = Callable[[str, int, int | None], None]


class Archive(NamedTuple):
    """Where a dataset's archive is, and what is known of it.

    Attributes:
        size: bytes of the archive.
        sha256: hexadecimal; None where none is published.
        folder: the one folder that holds all of its content.
        max_members, max_bytes: files and folders in it, and bytes once extracted, with
            room to spare; an archive with more is refused.
    """

    url: str
    size: int
    sha256: str | None
    folder: str
    max_members: int
    max_bytes: int

    @property
    def file(self) -> str:
        """The archive's name."""
        return Path(urlsplit(self.url).path).name


ARCHIVES = {
    'cats_and_dogs': Archive(
        'https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip',
        68_606_236,
        None,
        'cats_and_dogs_filtered',
        10_000,
        500_000_000,
    ),
    # The binary version: the other ones are pickles, which can run code.
    'cifar10': Archive(
        'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
        170_052_171,
        'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
        'cifar-10-batches-bin',
        100,
        500_000_000,
    ),
    'tiny_imagenet': Archive(
        'https://cs231n.stanford.edu/tiny-imagenet-200.zip',
        248_100_043,
        '6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821',
        'tiny-imagenet-200',
        200_000,
        1_000_000_000,
    ),
}


def install(
    name: str, data_dir: Path, progress: LabelledProgress | None = None
) -> Path:
    """Downloads and extracts a dataset; returns its folder, `<data_dir>/<folder>`.

    A folder that is there is returned at once, also where data_dir is that folder. An
    archive that lies in data_dir is used; it is removed once it is extracted. What an
    interrupted call has downloaded is used by the next. Of two processes the second
    waits for the first.

    Raises:
        DatasetError: the dataset has no archive here, or the archive cannot be
            downloaded, is not the one expected, or cannot be extracted.
    """
    if name not in ARCHIVES:
        raise DatasetError(
            f'No archive to download for {name!r}; expected one of '
            f'{", ".join(ARCHIVES)}.{suggestion(name, ARCHIVES)}'
        )
    archive = ARCHIVES[name]
    is_folder = data_dir.name == archive.folder and data_dir.is_dir()
    folder = data_dir if is_folder else data_dir / archive.folder
    if folder.is_dir():
        return folder
    file = data_dir / archive.file
    report = progress or (lambda what, done, total: None)
    with locked(data_dir / name):
        if not folder.is_dir():
            download(
                archive.url,
                file,
                size=archive.size,
                sha256=archive.sha256,
                progress=partial(report, f'Downloading {archive.file}'),
            )
            extract(
                file,
                folder,
                top=archive.folder,
                progress=partial(report, f'Extracting {archive.file}'),
                max_members=archive.max_members,
                max_bytes=archive.max_bytes,
            )
            file.unlink()
    return folder
