"""The command line: Typer commands that import the rest only when they run."""
