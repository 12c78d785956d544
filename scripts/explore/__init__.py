"""Reports on datasets: terminal, HTML page, charts, image grids, tables."""
