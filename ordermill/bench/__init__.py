"""The benchmark: a shop of its own, a load that costs little, and figures that a sceptic can repeat."""
