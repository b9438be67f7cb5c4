"""Options that several commands have, written once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, errors too.")]
Model = Annotated[
    str, typer.Option(metavar="NAME", help="The model; without it, the first that is ready.")
]
System = Annotated[str, typer.Option(metavar="TEXT", help="What the model is told beforehand.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="0…2",
        help="How freely it chooses; 0 takes the likeliest, as the embedded model does anyhow.",
    ),
]
TopP = Annotated[
    float | None, typer.Option("--top-p", metavar="0…1", help="Choose among this share only.")
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", metavar="N", help="Choose among the N likeliest only; 0 for all."),
]
MinP = Annotated[
    float | None,
    typer.Option("--min-p", metavar="0…1", help="Leave out what is less likely than this share of "
                 "the likeliest."),
]  # fmt: skip
RepetitionPenalty = Annotated[
    float | None,
    typer.Option("--repetition-penalty", metavar="F", help="Over 1: shy away from all tokens that "
                 "stand in prompt or answer."),
]  # fmt: skip
PresencePenalty = Annotated[
    float | None,
    typer.Option("--presence-penalty", metavar="-2…2", help="Shy away from what the answer has "
                 "said."),
]  # fmt: skip
FrequencyPenalty = Annotated[
    float | None,
    typer.Option("--frequency-penalty", metavar="-2…2", help="The same, for each time."),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", help="The most tokens of an answer.")
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Draws the same answer again; to the letter only with engine.deterministic.",
    ),
]
Stops = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="End the answer before this text; repeatable."),
]


class PrivacyName(StrEnum):
    """The privacy classes, as Typer takes a choice."""

    machine = "machine"
    network = "network"
    any = "any"


Privacy = Annotated[
    PrivacyName,
    typer.Option(help="Who may read the prompt: this machine, this network's members, or any."),
]
Deadline = Annotated[
    float, typer.Option(metavar="SECONDS", help="The longest that an answer may take in all.")
]
DEFAULT_DEADLINE = 600.0
