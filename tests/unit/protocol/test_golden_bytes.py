"""The bytes of every message, as they were when its tag was given.

A change here is a change of the wire: a field may be added with a default, which leaves these
bytes as they are. Anything else takes a new tag, or a new major version.
"""

from __future__ import annotations

import msgspec
import pytest

from aiplat.domain.answers import (
    Delta,
    Failed,
    Finished,
    Logprobs,
    Queued,
    Started,
    TokenLogprob,
)
from aiplat.domain.models import ModelOffer
from aiplat.domain.usage import Timings, Usage
from aiplat.protocol.framing import Codec, FrameReader
from aiplat.protocol.messages import (
    CODEC,
    TAGS,
    Ack,
    Addresses,
    Announce,
    Call,
    Cancel,
    Drain,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Reply,
    Revocations,
)
from tests.support.dialogue import MANIFEST, submission

GOLDEN: dict[int, tuple[msgspec.Struct, str]] = {
    1: (
        Hello(agent="aiplat/0.1.0", incarnation=5, roles=("client", "gateway")),
        (
            "0000003c010000000783a56167656e74ac6169706c61742f302e312e30ab696e6361726e6174696f6e05"
            "a5726f6c657392a6636c69656e74a767617465776179"
        ),
    ),
    2: (
        Goodbye("bye", "see you"),
        "0000001f020000000782a4636f6465a3627965a76d657373616765a773656520796f75",
    ),
    3: (
        Ping(1),
        "0000000d030000000781a56e6f6e636501",
    ),
    4: (
        Pong(2),
        "0000000d040000000781a56e6f6e636502",
    ),
    10: (
        submission(),
        (
            "000000720a0000000784a26964bc7265712d303030303030303030303030303030303030303030303030"
            "a2746fa767617465776179a4776f726b82a474797065a867656e6572617465a86d657373616765739182"
            "a4726f6c65a475736572a7636f6e74656e74a568656c6c6fa6637265646974cd03e8"
        ),
    ),
    11: (
        Queued(2, 1500, "all processors are busy"),
        (
            "0000004c0b0000000784a474797065a6717565756564a5706c61636502b065787065637465645f776169"
            "745f6d73cd05dca6726561736f6eb7616c6c2070726f636573736f7273206172652062757379"
        ),
    ),
    12: (
        Started(MANIFEST, 12, "p", "g"),
        (
            "000001660c0000000785a474797065a773746172746564a86d616e696665737489a46e616d65a474696e"
            "79a777656967687473d94061616161616161616161616161616161616161616161616161616161616161"
            "616161616161616161616161616161616161616161616161616161616161616161a9746f6b656e697a65"
            "72d940626262626262626262626262626262626262626262626262626262626262626262626262626262"
            "62626262626262626262626262626262626262626262626262a874656d706c617465d940636363636363"
            "636363636363636363636363636363636363636363636363636363636363636363636363636363636363"
            "63636363636363636363636363636363a672656369706501a56474797065a7666c6f61743332a7636f6e"
            "74657874cc80aa766f636162756c61727964a76261636b656e64a46563686fad70726f6d70745f746f6b"
            "656e730ca970726f636573736f72a170a767617465776179a167"
        ),
    ),
    13: (
        Delta((1, 70000), "Pa"),
        "000000240d0000000783a474797065a564656c7461a36964739201ce00011170a474657874a25061",
    ),
    14: (
        Finished("stop", Usage(12, 2), Timings(1.5, 2.5, 3.5), b"r"),
        (
            "000000990e0000000785a474797065a866696e6973686564a6726561736f6ea473746f70a57573616765"
            "82ad70726f6d70745f746f6b656e730cb1636f6d706c6574696f6e5f746f6b656e7302a774696d696e67"
            "7383a871756575655f6d73cb3ff8000000000000ae66697273745f746f6b656e5f6d73cb400400000000"
            "0000a8746f74616c5f6d73cb400c000000000000a772656365697074c40172"
        ),
    ),
    15: (
        Failed("no_processor", "none", None, 2000, True),
        (
            "000000500f0000000785a474797065a66661696c6564a4636f6465ac6e6f5f70726f636573736f72a76d"
            "657373616765a46e6f6e65ae72657472795f61667465725f6d73cd07d0ab7265636f76657261626c65c3"
        ),
    ),
    16: (
        Ack(3, 64),
        "00000016100000000782a6746f6b656e7303a663726564697440",
    ),
    17: (
        Cancel("left"),
        "00000012110000000781a6726561736f6ea46c656674",
    ),
    20: (
        Announce(
            revision=4,
            models=(ModelOffer(name="tiny", state="ready", manifest=MANIFEST, slots=8),),
            draining=True,
        ),
        (
            "0000016e140000000783a87265766973696f6e04a66d6f64656c739184a46e616d65a474696e79a57374"
            "617465a57265616479a86d616e696665737489a46e616d65a474696e79a777656967687473d940616161"
            "616161616161616161616161616161616161616161616161616161616161616161616161616161616161"
            "61616161616161616161616161616161616161a9746f6b656e697a6572d9406262626262626262626262"
            "626262626262626262626262626262626262626262626262626262626262626262626262626262626262"
            "6262626262626262626262a874656d706c617465d9406363636363636363636363636363636363636363"
            "636363636363636363636363636363636363636363636363636363636363636363636363636363636363"
            "6363a672656369706501a56474797065a7666c6f61743332a7636f6e74657874cc80aa766f636162756c"
            "61727964a76261636b656e64a46563686fa5736c6f747308a8647261696e696e67c3"
        ),
    ),
    21: (
        Drain(30000, "update"),
        "00000020150000000782a867726163655f6d73cd7530a6726561736f6ea6757064617465",
    ),
    22: (
        Call("models"),
        "00000014160000000781a66d6574686f64a66d6f64656c73",
    ),
    25: (Revocations(b"list"), "00000013190000000781a67369676e6564c4046c697374"),
    26: (
        Addresses(("/ip4/10.0.0.1/tcp/4001",)),
        "000000281a0000000781a961646472657373657391b62f6970342f31302e302e302e312f7463702f34303031",
    ),
    23: (
        Reply(failed=Failed("internal", "x")),
        (
            "00000032170000000781a66661696c656483a474797065a66661696c6564a4636f6465a8696e7465726e"
            "616ca76d657373616765a178"
        ),
    ),
}


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_golden(tag: int) -> None:
    message, golden = GOLDEN[tag]
    assert CODEC.encode(message, 7).hex() == golden
    [(found, number, body)] = FrameReader().feed(bytes.fromhex(golden))
    assert (found, number) == (tag, 7)
    assert msgspec.msgpack.encode(CODEC.decode(tag, body)) == msgspec.msgpack.encode(message)


def test_logprobs_on_the_wire() -> None:
    own, other = TokenLogprob(1, "\ufffd", -0.5, b"\xc3"), TokenLogprob(2, "b", -1.5)
    delta = Delta((1,), "", Logprobs((own,), ((other,),)))
    assert CODEC.encode(delta, 7).hex() == (
        "000000720d0000000783a474797065a564656c7461a36964739101a86c6f6770726f627382a6746f6b65"
        "6e739184a2696401a474657874a3efbfbda76c6f6770726f62cbbfe0000000000000a3726177c401c3a3"
        "746f70919183a2696402a474657874a162a76c6f6770726f62cbbff8000000000000"
    )
    assert delta.cost >= len(CODEC.encode(delta, 7)) - len(CODEC.encode(Delta(), 7))


def test_a_field_of_a_later_version_is_let_pass() -> None:
    class LaterDelta(msgspec.Struct, tag="delta"):
        ids: tuple[int, ...]
        text: str
        mood: str

    later = Codec({13: LaterDelta}).encode(LaterDelta((1,), "a", "good"), 1)
    [(tag, _, body)] = FrameReader().feed(later)
    assert CODEC.decode(tag, body) == Delta((1,), "a")


def test_a_tag_is_given_once() -> None:
    with pytest.raises(ValueError, match="two tags"):
        Codec({1: Ping, 2: Ping})
    with pytest.raises(ValueError, match="1 to 255"):
        Codec({0: Ping})
