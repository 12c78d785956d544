"""What evaluation computes: figures of merit, calibration, and comparisons."""
