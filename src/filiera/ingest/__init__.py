"""Phase 2: raw bytes to checked rows; every record ends in exactly one place."""
