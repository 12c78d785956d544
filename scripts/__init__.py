"""The commands: `python -m scripts.train` and its siblings."""
