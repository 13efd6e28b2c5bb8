"""Frozen values that every room speaks in; no input, no output, nothing heavy to import."""
