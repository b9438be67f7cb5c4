"""What the full screen costs: its start, an answer that streams in, an hour of chat.

    .venv/bin/python bench/tui [--rounds 5] [--only PART …] [--rivals DIR] [--json FILE] [--quick]

Parts; figures are medians over the rounds:

    start    from the command to the first paint (twenty characters on the terminal), and to where a
             prompt can be typed, on a pseudo-terminal of 120 × 40, with the node of an empty home
             starting behind it and without; beside it `posting` and `harlequin`, which are
             installed into the environment `--rivals` (made when it is not there), and with which
             it takes turns
    stream   CPU and loop lag while an answer streams in at 200 tokens a second, behind a history of
             500 messages, on a pseudo-terminal of 140 × 42 that is read all the time
    table    the same with an answer that is one table, of some 200 rows in the end
    memory   resident memory while sixty questions are asked and answered with 500 tokens each, as
             fast as they are drawn: an hour of chat

On a machine that has other work to do, ratios hold and absolute times do not. `--quick` takes half
a minute, and only shows that everything works.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # the checkout in place of this folder

from bench.tui.run import main  # noqa: E402  # found by the line above

if __name__ == "__main__":
    sys.exit(main(__doc__ or ""))
