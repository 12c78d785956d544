"""Properties of all images of a dataset: statistics, duplicates, suspicious files."""
