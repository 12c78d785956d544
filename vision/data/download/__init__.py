"""Archives and where they come from: addresses, transfer, extraction."""
