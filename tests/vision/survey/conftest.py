"""The dataset that a survey is tested on."""

from survey_dataset import folder, ranges, seen, source  # noqa: F401
