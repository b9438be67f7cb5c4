"""What a gateway's accounts cost: an admission, a row of usage, a request at the door, a question.

    .venv/bin/python bench/accounts [--rounds 5] [--only PART …] [--folder DIR] [--json FILE]
        [--quick]
    .venv/bin/python bench/accounts --from FILE

Parts, each beside its baseline, with which it takes turns; figures are medians over the rounds:

    admission   admit and settle, in a store with 10,000 users and 100,000 keys; beside it the same
                without limits, and what refusals cost; opening that store, and its memory
    usage       `usage --by day|model|key|peer` over ten million events of 120 days, 1,000 users,
                3,000 keys, 8 models and 12 processors; beside it the same without the sums
    rows        writing usage in batches, on a file, in WAL mode: in an empty store, and where ten
                million events are; beside it the same rows into a bare table
    door        a node with the model echo at its HTTP door, asked with a key that has all limits;
                beside it the same node with its accounts switched off, twice

Making ten million events takes some minutes and 5 GB of disk: `--folder` keeps them for the next
time. `--quick` takes half a minute, and only shows that everything works. On a machine that has
other work to do, ratios hold and absolute times do not.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # the checkout in place of this folder

from bench.accounts.run import main  # noqa: E402  # found by the line above

if __name__ == "__main__":
    sys.exit(main(__doc__ or ""))
