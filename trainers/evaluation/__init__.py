"""Evaluation of trained networks: metrics, calibration, comparison."""
