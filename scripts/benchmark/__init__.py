"""What `python -m scripts.benchmark` measures, against what, and how it is told."""
