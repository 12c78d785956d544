"""A trained network in use: Classifier, scoring, prediction."""
