"""What the measurements that take their parts in turns can be told on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def parse(
    doc: str, argv: Sequence[str] | None, parts: Sequence[str], rivals: str
) -> argparse.Namespace:
    """The options; `--quick` is one round.

    Arguments:
        doc: what the help says.
        argv: the words; None for those of this process.
        parts: that `--only` chooses from.
        rivals: what the folder of `--rivals` holds.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=parts)
    parser.add_argument("--rivals", metavar="DIR", help=rivals)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds = 1
    return options
