"""Explanations of predictions by attribution maps: flags, images, overlays, sheets."""
