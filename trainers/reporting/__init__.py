"""What a person watches: progress, plots and TensorBoard summaries."""
