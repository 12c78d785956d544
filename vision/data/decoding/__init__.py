"""From the bytes of a file to RGB: decoding, EXIF orientation, bad files."""
