"""Settings and their docs; options that travel to a started node; roles by what is possible."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

import aiplat
from aiplat.config.describe import document
from aiplat.config.sections import section_name, settings_of
from aiplat.control.messages import ModelStatus, PeerStatus, Status
from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import Role
from aiplat.http.settings import HttpSettings
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import find_places
from aiplat.runtime.report import describe, report_ready
from aiplat.runtime.roles import NO_MODELS, refuse_models_without_processor, with_roles
from aiplat.runtime.settings import SECTIONS, RuntimeSettings, load_settings

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_docs_are_what_the_code_says() -> None:
    assert DOCS.read_text() == document(SECTIONS), (
        "run: python -m aiplat.runtime.settings > docs/settings.md"
    )


def test_every_setting_has_a_description_and_a_valid_default() -> None:
    for section in SECTIONS:
        assert section.__doc__, section
        for name, setting in settings_of(section).items():
            assert setting.description.strip(), f"{section_name(section)}.{name}"
            msgspec.convert(setting.default, setting.type)


def test_a_prompt_fits_the_body_that_carries_it(tmp_path: Path) -> None:
    places = find_places(str(tmp_path), {})
    loaded = load_settings(places, {})
    assert loaded[RuntimeSettings].prompt_bytes < loaded[HttpSettings].max_body_bytes
    with pytest.raises(
        ConfigError, match=r"AIPLAT_RUNTIME_PROMPT_BYTES: .* 900000.*set it to at most 810000\."
    ):
        load_settings(places, {"AIPLAT_RUNTIME_PROMPT_BYTES": "900000"})


def test_every_section_of_every_layer_is_listed() -> None:
    found = set()
    root = Path(aiplat.__path__[0])
    for path in root.rglob("settings.py"):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        found |= {value for value in vars(import_module(name)).values() if _is_section(value)}
    assert found == set(SECTIONS)
    assert len({section_name(section) for section in SECTIONS}) == len(SECTIONS)


def _is_section(value: object) -> bool:
    return (
        isinstance(value, type) and issubclass(value, msgspec.Struct) and hasattr(value, "SECTION")
    )


def test_options_travel_as_arguments() -> None:
    options = ServeOptions(
        roles=("gateway",), listen=("/ip4/127.0.0.1/tcp/0",), http="127.0.0.1:0",
        control=Path("/c.sock"), models=("echo", "x"), echo_rate=0.0, peers=("/p",),
        background=True, json=True, settings={"node.heartbeat_seconds": "2"}, backend="upstream",
        upstream="http://127.0.0.1:1/v1", upstream_key_env="KEY",
    )  # fmt: skip
    assert options.arguments() == [
        "--role", "gateway", "--listen", "/ip4/127.0.0.1/tcp/0", "--model", "echo", "--model", "x",
        "--peer", "/p", "--set", "node.heartbeat_seconds=2", "--http", "127.0.0.1:0",
        "--control", "/c.sock", "--echo-rate", "0.0", "--backend", "upstream",
        "--upstream", "http://127.0.0.1:1/v1", "--upstream-key-env", "KEY",
        "--background", "--json",
    ]  # fmt: skip
    assert ServeOptions().arguments() == []


@pytest.mark.parametrize(
    ("options", "can", "roles", "told"),
    [
        (ServeOptions(), True, ("client", "gateway", "processor"), False),
        (ServeOptions(), False, ("client", "gateway"), True),
        (ServeOptions(models=("echo",)), False, ("client", "gateway", "processor"), False),
        (ServeOptions(models=("echo", "x")), False, ("client", "gateway"), True),
        (ServeOptions(roles=("client",)), False, ("client",), False),
    ],
)
def test_roles_by_what_is_possible(
    options: ServeOptions, can: bool, roles: tuple[str, ...], told: bool
) -> None:
    filled, note = with_roles(options, can_run=can)
    assert filled.roles == roles
    assert note == (NO_MODELS if told else "")


@pytest.mark.parametrize("roles", [("processor",), ("client", "gateway", "processor")])
def test_who_shall_be_a_processor_and_cannot_is_told_what_to_install(
    roles: tuple[Role, ...],
) -> None:
    for models in ((), ("x",), ("echo", "x")):
        with pytest.raises(ConfigError, match=r"pip install 'aiplat\[local\]'"):
            with_roles(ServeOptions(roles=roles, models=models), can_run=False)
    options = ServeOptions(roles=roles, models=("echo",))
    assert with_roles(options, can_run=False) == (options, "")
    with pytest.raises(ConfigError, match="no model but echo"):
        with_roles(ServeOptions(), can_run=False, certified=("processor",))


def test_models_that_would_be_ignored_are_refused() -> None:
    named = ServeOptions(roles=("client",), models=("x",))
    with pytest.raises(ConfigError, match="aiplat\\[local"):
        refuse_models_without_processor(named, can_run=False)
    with pytest.raises(ConfigError, match="certificate says client"):
        refuse_models_without_processor(named, can_run=True)
    for fine in (
        ServeOptions(roles=("client",)),
        ServeOptions(roles=("processor",), models=("x",)),
    ):
        refuse_models_without_processor(fine, can_run=False)


def test_a_node_that_is_ready_says_where_it_is() -> None:
    status = Status(
        peer_id="12D3A", addresses=("/ip4/127.0.0.1/tcp/1/p2p/12D3A", "/b"),
        http="http://127.0.0.1:8777", control="/c.sock", roles=("client", "gateway"),
        models=(ModelStatus(name="m", state="failed", note="no\x1b[2J"),),
        peers=(PeerStatus(peer_id="12D3B", state="connecting"),), version="1",
    )  # fmt: skip
    out = io.StringIO()
    report_ready(status, json=False, environ={}, out=out)
    text = out.getvalue()
    for part in ("12D3A", "/ip4/127.0.0.1/tcp/1/p2p/12D3A", "http://127.0.0.1:8777/v1",
                 "client, gateway", "m (failed: no·[2J)", "12D3B (connecting)"):  # fmt: skip
        assert part in text
    narrow = describe(status, signs=False, columns=40)
    at = narrow.index("  addresses")
    assert narrow[at + 1 : at + 3] == ["    /ip4/127.0.0.1/tcp/1/p2p/12D3A", "             /b"]
    assert "  peer id    12D3A" in narrow
    out = io.StringIO()
    report_ready(status, json=True, environ={}, out=out)
    assert out.getvalue().count("\n") == 1
    assert msgspec.json.decode(out.getvalue(), type=Status) == status
