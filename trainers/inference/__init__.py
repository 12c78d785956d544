"""A trained network in use: Classifier, scoring of splits, prediction of images."""
