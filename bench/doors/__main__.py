"""What the HTTP door adds to a request, beside LiteLLM's proxy and smg.

    .venv/bin/python bench/doors [--rounds 5] [--only PART …] [--rivals DIR] [--json FILE] [--quick]

Who is measured, side by side in one run, in turns:

    upstream    the server that the others stand before, asked itself: what they add is more than it
    door        a node that is client, gateway and processor at once, whose model `echo` takes no
                time to think: all that it takes is added
    before      the same node before that upstream, as a gateway that has no model of its own
    one hop     a client's door, and a node that is gateway and processor, over libp2p
    two hops    a client's door, a gateway and a processor, over libp2p: the whole way
    litellm     LiteLLM's proxy before that upstream, one worker, no database
    smg         Shepherd Model Gateway (Rust) before that upstream

Parts; figures are medians over the rounds:

    alone    one request at a time: what is added, p50 and p99; and to the first text of a stream
    crowd    whole answers a second, 1, 10 and 100 at once
    flood    streams as fast as they come, 10 at once: tokens and events a second
    paced    100 and 250 streams of 20 tokens a second at once: the gaps between what comes
    weight   memory of each (PSS, MiB) after that, and seconds from its start to its first answer

`--rivals` names a folder in which `litellm/` and `smg/` are environments of their own (made when
they are not there); without it only ours are measured. On a machine that has other work to do,
ratios hold and absolute times do not. `--quick` takes a minute, and only shows that it works.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # the checkout in place of this folder

from bench.doors.run import main  # noqa: E402  # found by the line above

if __name__ == "__main__":
    sys.exit(main(__doc__ or ""))
