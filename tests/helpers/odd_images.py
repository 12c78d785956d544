"""Odd and broken images of our own making, as they occur in collections of files."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 9, 13  # Of all of them before they are turned.


def photo(mode: str = 'RGB') -> Image.Image:
    """Soft random colours, which JPEG changes little."""
    small = np.random.default_rng(4).integers(0, 256, [3, 4, 3], np.uint8)
    image = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    if mode in ('LA', 'RGBA'):
        image.putalpha(Image.linear_gradient('L').resize((WIDTH, HEIGHT)))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(kind: str, value: int, **options: Any) -> bytes:
    """A file with an EXIF orientation."""
    tags = Image.Exif()
    tags[0x112] = value
    return saved(photo(), kind, exif=tags, **options)


def chunk(name: bytes, payload: bytes) -> bytes:
    """Of a PNG file."""
    checksum = struct.pack('>I', zlib.crc32(name + payload))
    return struct.pack('>I', len(payload)) + name + payload + checksum


def png(colour: int, depth: int, rows: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG file of a colour type and a depth that Pillow does not write.

    Args:
        rows: uint8 [HEIGHT, bytes a row].
        *chunks: before the pixels.
    """
    header = struct.pack('>IIBBBBB', WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    cut = len(pixels) // 2  # Pixels may be in any number of chunks.
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + b''.join(chunks)
        + chunk(b'IDAT', pixels[:cut])
        + chunk(b'IDAT', pixels[cut:])
        + chunk(b'IEND', b'')
    )


def segment(marker: int, payload: bytes) -> bytes:
    """Of a JPEG file."""
    return bytes([0xFF, marker]) + struct.pack('>H', len(payload) + 2) + payload


def bmp(bits: int, compression: int, pixels: bytes) -> bytes:
    """A BMP file without a palette."""
    size = WIDTH, HEIGHT
    info = struct.pack('<IiiHHIIiiII', 40, *size, 1, bits, compression, 0, 0, 0, 0, 0)
    return b'BM' + struct.pack('<IHHI', 54 + len(pixels), 0, 0, 54) + info + pixels


def frames(mode: str) -> dict[str, Any]:
    """What makes an animation when it is saved."""
    others = [photo().transpose(Image.Transpose.ROTATE_180).convert(mode)]
    return {'save_all': True, 'append_images': others}


def whole() -> dict[str, bytes]:
    """Images that are decoded, by file name."""
    rgb, cmyk = photo(), saved(photo('CMYK'), 'JPEG', quality=95)
    plain = saved(rgb, 'JPEG', quality=95)
    adobe = cmyk.index(b'Adobe') + 11  # Where the kind of colours is said.
    noise = np.random.default_rng(5).integers(0, 256, [HEIGHT, 6 * WIDTH], np.uint8)
    palette = photo().quantize(16)
    return {
        **{f'turned_{value}.jpg': turned('JPEG', value) for value in range(1, 9)},
        'turned_3.png': turned('PNG', 3),
        'turned_6.webp': turned('WEBP', 6, lossless=True),
        'cmyk.jpg': cmyk,
        'ycck.jpg': cmyk[:adobe] + b'\2' + cmyk[adobe + 1 :],
        'rgb.jpg': saved(rgb, 'JPEG', keep_rgb=True, quality=95),
        'grey.jpg': saved(photo('L'), 'JPEG'),
        'progressive.jpg': saved(rgb, 'JPEG', progressive=True),
        'half_colour.jpg': saved(rgb, 'JPEG', subsampling=2),
        'restarts.jpg': saved(rgb, 'JPEG', restart_marker_blocks=1),
        'profile.jpg': saved(rgb, 'JPEG', icc_profile=b'x' * 70_000),
        'comment.jpg': saved(rgb, 'JPEG', comment=b'x' * 300),
        'broken_exif.jpg': plain[:2] + segment(0xE1, b'Exif\0\0II*') + plain[2:],
        'stray_bytes.jpg': plain[:20] + bytes(16) + plain[20:],
        'followed_by_another.jpg': plain + cmyk,
        'followed_by_text.jpg': plain + b'<html>' * 20,
        'jpeg.png': plain,
        'png.jpg': saved(rgb, 'PNG'),
        'no_suffix': saved(rgb, 'GIF'),
        'grey.png': saved(photo('L'), 'PNG'),
        'grey_alpha.png': saved(photo('LA'), 'PNG'),
        'alpha.png': saved(photo('RGBA'), 'PNG'),
        'one_bit.png': saved(photo('1'), 'PNG'),
        'palette.png': saved(palette, 'PNG'),
        'clear_palette.png': saved(palette, 'PNG', transparency=3),
        '16_bit_grey.png': png(0, 16, noise[:, : 2 * WIDTH]),
        '16_bit.png': png(2, 16, noise),
        'text.png': png(2, 8, noise[:, ::2], chunk(b'tEXt', b'Comment\0' + b'x' * 999)),
        'still.gif': saved(rgb, 'GIF'),
        'animated.gif': saved(rgb, 'GIF', **frames('RGB')),
        '24_bit.bmp': saved(rgb, 'BMP'),
        '32_bit.bmp': saved(photo('RGBA'), 'BMP'),
        'palette.bmp': saved(palette, 'BMP'),
        'grey.bmp': saved(photo('L'), 'BMP'),
        'lossy.webp': saved(rgb, 'WEBP'),
        'alpha.webp': saved(photo('RGBA'), 'WEBP', lossless=True, exact=True),
    }


def broken() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, and a part of the reason, by file name."""
    jpeg, png_file, gif = (saved(photo(), kind) for kind in ('JPEG', 'PNG', 'GIF'))
    data = png_file.index(b'IDAT') + 12
    sized = jpeg.index(b'\xff\xc0') + 5
    colours = 3 * 2 ** (gif[10] % 8 + 1)
    frame = gif.index(b',\0\0\0\0', 13 + colours) + 5  # Where its width is.
    no_image = 'Not a JPEG, PNG, GIF, BMP or WebP file'
    rare = 'Expected a BMP file of 8, 24 or 32 bits a pixel'
    return {
        'empty.jpg': (b'', no_image),
        'text.jpg': (b'<html>404 Not Found</html>', no_image),
        'tiff.jpg': (saved(photo(), 'TIFF'), no_image),
        'cut.jpg': (jpeg[: len(jpeg) * 3 // 4], 'Invalid JPEG data'),
        'huge.jpg': (
            jpeg[:sized] + struct.pack('>HH', 20_000, 30_000) + jpeg[sized + 4 :],
            'Expected at most 100000000 pixels, got 600000000',
        ),
        'cut.png': (png_file[: data + 20], 'Invalid PNG data'),
        'flipped.png': (
            png_file[:data] + bytes([png_file[data] ^ 255]) + png_file[data + 1 :],
            'Invalid PNG data',
        ),
        'huge.png': (
            png_file[:16] + struct.pack('>II', 20_000, 30_000) + png_file[24:],
            'Expected at most 100000000 pixels, got 600000000',
        ),
        'no_palette.gif': (
            gif[:10] + bytes([gif[10] % 128]) + gif[11:13] + gif[13 + colours :],
            'missing color map',
        ),
        'no_width.gif': (gif[:frame] + bytes(2) + gif[frame + 2 :], 'Invalid GIF data'),
        'animated.webp': (
            saved(photo(), 'WEBP', **frames('RGB')),
            'Expected a WebP file of one image, got an animation',
        ),
        'runs.bmp': (bmp(8, 1, bytes(2000)), 'compression 0, got 8 and 1'),
        '16_bit.bmp': (bmp(16, 0, bytes(2000)), rare),
        'cut.bmp': (saved(photo(), 'BMP')[:20], rare),
    }
