"""`python -m gameday` is the same as `gameday`."""

from gameday.cli.main import program

if __name__ == "__main__":
    program()
