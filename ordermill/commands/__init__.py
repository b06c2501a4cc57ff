"""One module a group of commands; each exposes `register(app)` and is imported only when its command is asked for."""
