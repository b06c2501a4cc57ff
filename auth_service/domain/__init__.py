"""The rules of accounts and sessions. Pure."""
