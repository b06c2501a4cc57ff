"""What every service needs and no customer pays for. One concept a file, named for what it is."""
