"""The dataset with everything in it that there is to find, for its reports."""

from tests.vision.survey.conftest import *  # noqa: F403
