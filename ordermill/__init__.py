"""The launcher and the command line: everything a person types to run the shop on one machine."""
