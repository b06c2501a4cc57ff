"""`python -m ordermill`: the same command line as the script `ordermill`."""

from ordermill.cli import main

if __name__ == "__main__":
    main()
