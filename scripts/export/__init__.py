"""What `python -m scripts.export` is made of."""
