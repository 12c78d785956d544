"""Extraction of an archive into a new folder, as a whole or not at all."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vision.data.download.download import Progress, locked
from vision.data.source import DatasetError
from vision.files import publish

_CHUNK = 1 << 20  # Bytes of a member held in memory at a time.
_BLOCK = 4096  # Bytes that a file takes up on the disk are a multiple of this.
_MAX_HEADER = 16 << 20  # Bytes read at once; the longest names are far shorter.

_COMPRESSED: dict[bytes, Callable[..., Any]] = {  # How such a file begins.
    b'\x1f\x8b': gzip.open,
    b'BZh': bz2.open,
    b'\xfd7zXZ\0': lzma.open,
}

# What the readers raise for bytes that make no sense; an OSError then has no number.
_DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RecursionError,
    ValueError,
)


class _Member(NamedTuple):
    """A file or folder of an archive.

    Attributes:
        name: as the archive has it.
        size: bytes according to the archive's headers.
        open: returns a binary file with the bytes.
    """

    name: str
    size: int
    is_folder: bool
    open: Callable[[], Any]


def extract(
    archive: Path,
    folder: Path,
    *,
    top: str = '',
    progress: Progress | None = None,
    max_members: int = 1_000_000,
    max_bytes: int = 1 << 36,
) -> Path:
    """Extracts a zip, tar, tar.gz, tar.bz2 or tar.xz into a new folder; returns it.

    The files are written beside the folder, which gets its name once all are on the
    disk. Permissions are those of any new file. Links, devices and names that lead out
    of the folder are refused.

    Args:
        top: the one folder that holds all of the archive, of which `folder` becomes the
            copy; by default the members' paths are kept below `folder`.
        progress: called with the bytes written so far and in all.
        max_members, max_bytes: limits on the files and folders, and on their total
            size.

    Raises:
        DatasetError: the archive cannot be extracted; the message names the member.
    """
    staging = folder.with_name(f'.{folder.name}.extracting')
    with locked(folder), _explained(archive, folder):
        if folder.exists():
            raise DatasetError(
                f'Expected to create {folder}, it is already there. '
                'Remove it to extract it again.'
            )
        if staging.exists():
            shutil.rmtree(staging)  # Of a process that was killed.
        try:
            with _opened(archive) as listed:
                files, folders = _checked(_limited(listed, max_members, max_bytes), top)
                _check_room(files, folders, folder.parent)
                _write(files, folders, staging, progress or (lambda done, total: None))
            os.sync()  # Syncing 100,000 files one by one takes minutes.
            publish(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


@contextmanager
def _explained(archive: Path, folder: Path) -> Iterator[None]:
    """Turns errors of readers and of the system into ones that name the archive."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f'{archive}: {error}', *error.parameters) from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DatasetError(
                f'Cannot extract {archive} to {folder}: {error}. Make room '
                'there, or choose another folder.'
            ) from error
        raise DatasetError(
            f'{archive} is damaged or not whole: {error}. Remove it and get it again.'
        ) from error


@contextmanager
def _opened(archive: Path) -> Iterator[Iterable[_Member]]:
    """The members of an archive of any kind, readable while it is open."""
    with archive.open('rb') as file:
        start = file.peek(32)[:32]
        if start.startswith((b'PK\3\4', b'PK\5\6')):
            with zipfile.ZipFile(file) as opened:
                _check_count(opened, file)
                yield _zip_members(opened)
            return
        content: Any = file
        for magic, decompress in _COMPRESSED.items():
            if start.startswith(magic):
                content = decompress(file)
        try:
            guarded: Any = _Guarded(content)
            tar = tarfile.open(fileobj=guarded, mode='r:')
        except tarfile.ReadError as error:
            raise DatasetError(
                'Expected a zip or tar archive, got a file that begins with '
                f'{start!r}. Remove it and get it again.'
            ) from error
        with tar:
            yield _tar_members(tar)


class _Guarded:
    """A file that refuses to read more than a header of _MAX_HEADER bytes at once."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Reads at most `size` bytes; tarfile reads a header at once."""
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f'a header of {size:,} bytes')
        return self._file.read(size)


def _check_count(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Compares the members with their number at the end, which zipfile does not."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b'PK\5\6') + 10
    stated = int.from_bytes(tail[at : at + 2], 'little')
    # Large zips have 0xFFFF here, or what is left of their number in two bytes.
    if stated not in (0xFFFF, len(archive.infolist()) & 0xFFFF):
        raise zipfile.BadZipFile(
            f'it lists {len(archive.infolist()):,} of {stated:,} members'
        )


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if info.flag_bits & 1:
            raise DatasetError(
                f'Expected files without a password, {info.filename!r} '
                'is encrypted. Extract it yourself.'
            )
        # Zips made on Windows have no kind here.
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(info.filename, 'is neither a file nor a folder')
        yield _Member(
            info.filename,
            info.file_size,
            info.is_dir(),
            partial(archive.open, info),
        )


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        if not (info.isreg() or info.isdir()):
            kind = 'is a link' if info.issym() or info.islnk() else 'is a device'
            raise _refused(info.name, kind)
        yield _Member(
            info.name,
            info.size,
            info.isdir(),
            partial(archive.extractfile, info),
        )
    # Read on past the last member: checksums of compressed files are at their end.
    file: Any = archive.fileobj
    file.seek(archive.offset)
    # tarfile takes a header that it cannot read for the end.
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError(
            f'it breaks off, or has a bad header, after {archive.offset:,} bytes'
        )
    file.read(_MAX_HEADER)
    if file.read(1):
        raise tarfile.ReadError(f'more than {_MAX_HEADER:,} bytes follow its end')


def _path(name: str) -> str:
    """The path that a name stands for; refuses those that lead elsewhere."""
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if name.startswith('/') or '..' in parts:
        raise _refused(name, 'leads out of the folder')
    if '\\' in name or '\0' in name or re.match('[A-Za-z]:', name):
        raise _refused(name, 'is a path of another system')
    return '/'.join(parts)


def _refused(name: str, what: str) -> DatasetError:
    return DatasetError(
        f'Expected an archive of plain files and folders, {name!r} in '
        f'it {what}. Nothing was extracted; do not trust this archive.'
    )


def _limited(
    members: Iterable[_Member], max_members: int, max_bytes: int
) -> Iterator[_Member]:
    total = 0
    for count, member in enumerate(members, 1):
        if member.size < 0:
            raise _refused(member.name, f'has {member.size} bytes')
        total += member.size
        if count > max_members:
            raise DatasetError(
                f'Expected at most {max_members:,} files and folders, '
                f'the archive goes on with {member.name!r}.'
            )
        if total > max_bytes:
            raise DatasetError(
                f'Expected at most {max_bytes:,} bytes of files, the '
                f'archive has {total:,} up to {member.name!r}.'
            )
        yield member


def _checked(
    members: Iterable[_Member], top: str
) -> tuple[dict[str, _Member], list[str]]:
    """The files by path below the folder to make, and all folders, parents first.

    The paths are below `top`; that of the folder itself is ''.
    """
    files: dict[str, _Member] = {}
    folders = {''}
    for member in members:
        path = _path(member.name)
        if top:
            first, _, path = path.partition('/')
            if first == '__MACOSX':  # Metadata that the Mac adds to the zips it makes.
                continue
            if first not in (top, '') or not (path or member.is_folder):
                raise DatasetError(
                    f'Expected everything in the archive to be in {top}/, got '
                    f'{member.name!r}; it is not the expected archive.'
                )
        if path in files or path in folders and not member.is_folder:
            raise _refused(member.name, 'comes twice')
        names = path.split('/')
        parents = ['/'.join(names[:depth]) for depth in range(len(names))]
        if not files.keys().isdisjoint(parents):
            raise _refused(member.name, 'lies in what is a file')
        folders.update(parents)
        if member.is_folder:
            folders.add(path)
        else:
            files[path] = member
    if not files:
        raise DatasetError('Expected files in the archive, got none.')
    return files, sorted(folders)


def _check_room(files: dict[str, _Member], folders: list[str], where: Path) -> None:
    blocks = len(folders) + sum(-(-file.size // _BLOCK) for file in files.values())
    free = shutil.disk_usage(where).free
    if blocks * _BLOCK > free:
        raise DatasetError(
            f'Expected {blocks * _BLOCK:,} free bytes in {where}, got '
            f'{free:,}. Make room and run again.'
        )


def _write(
    files: dict[str, _Member], folders: list[str], staging: Path, progress: Progress
) -> None:
    for path in folders:
        (staging / path).mkdir()
    done, total = 0, sum(file.size for file in files.values())
    for path, file in files.items():
        # 'x' also refuses names that are the same to the file system only.
        with file.open() as source, open(f'{staging}/{path}', 'xb') as target:
            while target.tell() <= file.size and (chunk := source.read(_CHUNK)):
                target.write(chunk)
                done += len(chunk)
                progress(done, total)
            if target.tell() != file.size:
                raise _refused(
                    file.name, f'has not the {file.size:,} bytes it should have'
                )
