"""Images that come through standard input: a list of paths, or an image itself."""

import os
import re
import shutil
from collections.abc import Iterator
from io import BufferedReader
from typing import IO

from trainers.inference.image_files import ImageFile, of_file

# The first bytes of images, also of some formats that cannot be decoded, which are an
# error then. No list of file names begins with them.
_IMAGE = re.compile(
    rb'\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a.[\0-\x08]|BM.{4}\0{4}|RIFF.{4}WEBP|'
    rb'II\*\0|MM\0\*|.{4}ftyp',
    re.DOTALL,
)
_HEADER = 16
_PART = 1 << 16


def images(stream: BufferedReader, spool: IO[bytes]) -> Iterator[ImageFile]:
    """The images that a stream contains or lists.

    Args:
        stream: an image, or paths of files that line breaks or null characters
            separate.
        spool: an empty file to which an image is copied; it must stay open until the
            image is read.

    Yields:
        Each image, as soon as its path is read.
    """
    head = b''
    while len(head) < _HEADER and (part := stream.read1(_PART)):
        head += part
    if not head:
        yield ImageFile('-', error='Standard input is empty')
    elif _IMAGE.match(head):
        spool.write(head)
        shutil.copyfileobj(stream, spool)
        spool.flush()
        yield ImageFile('-', f'/dev/fd/{spool.fileno()}', spool.tell())
    else:
        yield from map(of_file, map(os.fsdecode, _paths(head, stream)))


def _paths(head: bytes, stream: BufferedReader) -> Iterator[bytes]:
    """The paths of a list, as soon as each is read."""
    separator, ending = (b'\0', b'') if b'\0' in head else (b'\n', b'\r')
    rest, part = b'', head
    while part:
        *whole, rest = (rest + part).split(separator)
        yield from (path for line in whole if (path := line.removesuffix(ending)))
        part = stream.read1(_PART)
    if rest := rest.removesuffix(ending):
        yield rest
