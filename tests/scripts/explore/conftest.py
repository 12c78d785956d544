"""The dataset that the reports of explore are tested on."""

from survey_dataset import folder, seen, source  # noqa: F401
