"""A look at all images of a dataset: statistics, duplicates, suspicious files."""
