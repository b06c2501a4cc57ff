"""Products, stock, reservations, tasks and what moves between them. Pure: no clock, no I/O, no framework."""
