"""One file a dataset, and the folder layouts that they share."""
