"""Phase 1: sources to raw batches."""
