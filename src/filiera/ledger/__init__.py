"""What happened: one database, one truth. Every effect commits together with its audit entry, or neither does."""
