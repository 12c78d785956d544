"""What an image is, and what a network makes of it."""
