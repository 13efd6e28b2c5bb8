"""Phase 3: rows and artifacts at rest. Immutable sealed objects; their manifest lives in the ledger."""
