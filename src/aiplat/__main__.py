"""`python -m aiplat`: the same as the `aiplat` command."""

from aiplat.cli.main import main

if __name__ == "__main__":
    main()
