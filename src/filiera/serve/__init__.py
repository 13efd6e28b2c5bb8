"""Phase 5: value to people. Endpoints of released models."""
