"""Tells customers and staff what has happened to an order, by mail."""
