"""Download of one file: resumed after a break, checked, and complete or absent.

requests and urllib3 do not resume a transfer, hence this.
"""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.util import Retry

from vision import files
from vision.data.source import DatasetError

Progress = Callable[[int, int | None], None]  # (bytes done, bytes in all if known)

_CHUNK = 1 << 16  # Bytes; what a kill can lose of the transfer.
_TIMEOUT = (15.0, 60.0)  # Seconds to connect, and without a byte.
_TRIES = 4  # Attempts in a row that bring nothing new.
_BACKOFF = 0.5  # Seconds; doubled with every such attempt.


class _File(NamedTuple):
    """What is downloaded, where to, and what is known of it beforehand.

    Attributes:
        algorithm: of hashlib's, by which the digest is.
        digest: of the whole file, hexadecimal; None where it is not known.
    """

    url: str
    path: Path
    size: int | None
    algorithm: str
    digest: str | None

    @property
    def part(self) -> Path:
        """Where the bytes are written to until all are there."""
        return self.path.with_name(f'{self.path.name}.part')

    @property
    def origin(self) -> Path:
        """Beside the part: its address, and the server's mark of its version."""
        return self.path.with_name(f'{self.path.name}.part.origin')


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Downloads a file to `path`, unless it is there already; returns the path.

    The bytes are written to `<path>.part`, which a later call continues, and get their
    final name once they are complete, checked and on the disk. Of two processes that
    download to the same path the second waits, and finds the file.

    Args:
        size: bytes; a server that offers or sends any other number is refused.
        sha256: hexadecimal digest of the whole file.
        md5: the same, where nobody has published a better one; against damage, not
            malice.
        progress: called with the bytes so far and in all, beginning where it resumes.

    Raises:
        DatasetError: the file cannot be downloaded or written, or is not the one
            expected; the message names the address.
    """
    if urlsplit(url).scheme not in ('http', 'https'):
        raise DatasetError(f'Expected an address of http:// or https://, got {url!r}.')
    file = _File(
        url,
        path,
        size,
        algorithm='sha256' if sha256 else 'md5',
        digest=sha256 or md5,
    )
    try:
        if not _is_there(file):
            with locked(path):
                if not _is_there(file):
                    _complete(file, progress or (lambda done, total: None))
                    _finish(file)
    except (requests.RequestException, HTTPError) as error:
        raise DatasetError(
            f'Cannot download {url}: {_reason(error)}. Check the connection and run '
            f'again, which resumes; or put the file at {path} yourself.'
        ) from error
    except OSError as error:
        raise DatasetError(
            f'Cannot write {url} to {path}: {error}. Make room there, or choose '
            'another folder; running again resumes.'
        ) from error
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `<path>.lock` against other processes and threads; waits, and logs it.

    Creates the folder.

    Raises:
        DatasetError: no lock can be created there.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(files.locked(path.with_name(f'{path.name}.lock')))
        except OSError as error:
            raise DatasetError(
                f'Cannot write to {path.parent}: {error}. Choose a folder '
                'in which you may create files.'
            ) from error
        yield


def _is_there(file: _File) -> bool:
    return (
        file.path.is_file()
        and file.size in (None, file.path.stat().st_size)
        and (not file.digest or file.digest == digest_of(file.path, file.algorithm))
    )


def _complete(file: _File, progress: Progress) -> None:
    """Brings the part to its full length, through breaks of the connection.

    Connections that cannot be opened are tried again by urllib3, those that break
    later here.

    Raises:
        HTTPError: of urllib3; several attempts in a row brought nothing new.
    """
    retry = Retry(
        _TRIES,
        backoff_factor=_BACKOFF,
        status_forcelist=(429, 500, 502, 503, 504),  # They often go away.
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    failures, longest = 0, 0
    with requests.Session() as session:
        for scheme in ('http://', 'https://'):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        while True:
            try:
                if _transfer(session, file, progress):
                    return
            except HTTPError as error:
                length = file.part.stat().st_size if file.part.exists() else 0
                failures = 0 if length > longest else failures + 1
                longest = max(length, longest)
                if failures == _TRIES:
                    raise
                logging.getLogger(__name__).warning(
                    'Trying again after %s bytes of %s: %s',
                    f'{length:,}',
                    file.url,
                    _reason(error),
                )
                time.sleep(_BACKOFF * 2**failures)


def _transfer(session: requests.Session, file: _File, progress: Progress) -> bool:
    """Adds what is missing to the part; False where the part is dropped as useless.

    Raises:
        HTTPError: the connection breaks.
        DatasetError: the server offers no such file.
    """
    start, version = _resumable(file)
    if start and start == file.size:
        return True
    headers: dict[str, Any] = {  # Those that are None are not sent.
        # Without it, bytes and ranges would be those of a compressed copy.
        'Accept-Encoding': 'identity',
        'Range': f'bytes={start}-' if start else None,
        'If-Range': version if start and version else None,
    }
    with session.get(
        file.url, headers=headers, stream=True, timeout=_TIMEOUT
    ) as response:
        status = response.status_code
        begins, total = _extent(response)
        if start and status == 416 and total == start:
            return True
        changed = (_version(response) or version) != version
        if start and (status == 416 or status == 206 and (begins != start or changed)):
            _drop(file)
            return False
        if status != 200 and not (start and status == 206):
            raise DatasetError(
                f'Expected the file at {file.url}, got HTTP status {status} '
                f'({response.reason}). Run again later, which resumes; or put the file '
                f'at {file.path} yourself.'
            )
        if total is not None:
            _check_offer(file, begins, total)
        if not begins:
            _drop(file)
            file.origin.write_text(f'{file.url}\n{_version(response)}', 'utf-8')
        _append(file, response, begins, total, progress)
    return True


def _resumable(file: _File) -> tuple[int, str]:
    """The bytes that can be kept, and the server's mark of the version they are of."""
    try:
        url, version = file.origin.read_text('utf-8').split('\n')
        length = file.part.stat().st_size
    except (FileNotFoundError, ValueError):
        return 0, ''
    # Parts of two versions could be joined unnoticed if neither is known.
    known = version or file.digest
    fits = file.size is None or length <= file.size
    return (length, version) if url == file.url and known and fits else (0, '')


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where in the file the answer begins, -1 if unknown, and the file's length."""
    if response.status_code == 200:
        length = response.headers.get('Content-Length', '')
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(
        r'bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)',
        response.headers.get('Content-Range', ''),
    )
    begins, total = match.groups() if match else (None, None)
    return int(begins or -1), int(total) if total else None


def _version(response: requests.Response) -> str:
    """A mark that changes with the file's bytes, or nothing."""
    etag = response.headers.get('ETag', '')
    # Weak ones stay the same for bytes that differ.
    return etag if etag.startswith('"') else response.headers.get('Last-Modified', '')


def _drop(file: _File) -> None:
    file.part.unlink(missing_ok=True)
    file.origin.unlink(missing_ok=True)


def _check_offer(file: _File, begins: int, total: int) -> None:
    if file.size not in (None, total):
        raise DatasetError(
            f'Expected {file.size:,} bytes at {file.url}, the server '
            f'offers {total:,}; it is not the expected file.'
        )
    free = shutil.disk_usage(file.path.parent).free
    if total - begins > free:
        raise DatasetError(
            f'{file.url} needs {total - begins:,} more bytes in {file.path.parent}, '
            f'where {free:,} are free. Make room and run again.'
        )


def _append(
    file: _File,
    response: requests.Response,
    done: int,
    total: int | None,
    progress: Progress,
) -> None:
    total = file.size if total is None else total
    with file.part.open('ab') as part:
        progress(done, total)
        # Undecoded: servers call a .tar.gz a tar with Content-Encoding: gzip.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            done += len(chunk)
            if total is not None and done > total:
                _drop(file)
                raise DatasetError(
                    f'Expected {total:,} bytes at {file.url}, the server sends more; '
                    'it is not the expected file.'
                )
            part.write(chunk)
            progress(done, total)
    if total is not None and done < total:
        raise ProtocolError(f'it ended after {done:,} of {total:,} bytes')


def _finish(file: _File) -> None:
    """Checks the part and gives it its name."""
    if file.digest:
        received = digest_of(file.part, file.algorithm)
        if received != file.digest:
            _drop(file)
            raise DatasetError(
                f'Expected {file.algorithm} {file.digest} of {file.url}, got '
                f'{received}: the file was damaged on its way or has been '
                'replaced. Run again to download it afresh.'
            )
    files.publish(file.part, file.path)
    file.origin.unlink(missing_ok=True)


def digest_of(path: Path, algorithm: str) -> str:
    """A whole file's digest by an algorithm of hashlib's, in hexadecimal."""
    # Systems that forbid MD5 allow it for uses like this one.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    """The innermost cause; what libraries wrap around it is about their own objects."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error)
