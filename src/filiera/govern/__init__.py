"""May this happen? Keys, access rules, gates."""
