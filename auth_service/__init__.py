"""Who the users are: accounts, sessions with rotating refresh tokens, and the keys that sign access tokens."""
