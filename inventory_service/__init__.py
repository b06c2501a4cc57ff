"""Holds stock for orders, gives it back, and ships it. Never holds more than there is."""
