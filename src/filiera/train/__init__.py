"""Phase 4: value from data. Split, study, stop by money, judge, package."""
