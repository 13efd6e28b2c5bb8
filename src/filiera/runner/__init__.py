"""What runs in child processes beside the user's code: no ledger, no keys, no network."""
