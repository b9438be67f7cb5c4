"""What the engine gives on this machine, beside what others give with the same weights.

    .venv/bin/python bench/engine [--rounds 3] [--only NAME …] [--set SECTION.NAME=VALUE …]
        [--json FILE] [--plots DIR] [--quick]
    .venv/bin/python bench/engine --from FILE [--plots DIR]

Contenders, all over HTTP and streamed, on as many threads as there are cores:

    ours            a whole node (`aiplat serve`) as it comes: 4-bit weights
    ours-f32        the same with --set engine.dtype=float32
    transformers    `transformers serve --continuous-batching`, float32, on the same folder
    llama.cpp       its server (wheel xllamacpp) on the GGUF that the folder was made of, 32 slots

In each round each contender is started, measured and ended again before the next one starts, so
that nobody else computes or holds memory meanwhile; the order turns from round to round. Figures
are medians over the rounds, with the least and the most. Then, ours alone: `crowd`, 100 requests
at once from 10 users at the engine's own process; and once a round `limit`, the bandwidth of the
memory, with what one stream could reach at most.

It wants the machine for itself, about 6 minutes a round on two slow cores; `--quick` takes about
two in all, and only shows that everything works. `--json` is written after each contender, and
`--from` makes the tables and plots of such a file again.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # the checkout in place of this folder

from bench.engine.run import main  # noqa: E402  # found by the line above

if __name__ == "__main__":
    sys.exit(main(__doc__ or ""))
