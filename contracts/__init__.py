"""The published language: events, the values in them, and the envelope they travel in."""
