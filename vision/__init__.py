"""What an image is, and what a network makes of it."""

__version__ = '0.2.0'
