"""What a name means on the hub, and which files of a repository are fetched: pure."""

from __future__ import annotations

import pytest

from aiplat.engine.hub_choice import Refused, RepoFile, check_config, choose
from aiplat.engine.hub_names import HubName, parse

SAFE = ("config.json", "tokenizer.json", "tokenizer_config.json")


def repo(*paths: str) -> list[RepoFile]:
    return [RepoFile(path, 10) for path in paths]


def chosen(name: str, *paths: str) -> list[str]:
    hub = parse(name)
    assert hub is not None
    return [file.path for file in choose(hub, repo(*paths))]


@pytest.mark.parametrize(
    ("name", "means", "folder"),
    [
        ("org/name", HubName("org/name"), "org--name"),
        ("Org/n.1_b@v1", HubName("Org/n.1_b", "v1"), "Org--n.1_b--v1"),
        ("o/n@refs/pr/1", HubName("o/n", "refs/pr/1"), "o--n--refs--pr--1"),
        ("o/n:q/x.Q4.gguf", HubName("o/n", "", "q/x.Q4.gguf"), "o--n--q--x.Q4.gguf"),
    ],
)
def test_names(name: str, means: HubName, folder: str) -> None:
    assert parse(name) == means
    assert means.folder == folder


@pytest.mark.parametrize(
    "name", ["name", "a/b/c", "../b", "a/..", "/a/b", "a/b@", "a/b:x.bin", "a--b/c", "a/b@../x", ""]
)
def test_no_names(name: str) -> None:
    assert parse(name) is None


def test_safetensors_go_first_and_no_code_comes() -> None:
    found = chosen(
        "o/n", *SAFE, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "consolidated.safetensors", "onnx/model.safetensors", "pytorch_model.bin", "modeling.py",
        "n.gguf", "merges.txt",
    )  # fmt: skip
    assert found == [
        "config.json", "tokenizer.json", "tokenizer_config.json", "merges.txt",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    ]  # fmt: skip


def test_one_gguf() -> None:
    assert chosen("o/n", "README.md", "m.gguf", "mmproj-m.gguf") == ["m.gguf"]
    assert chosen("o/n:b.gguf", *SAFE, "model.safetensors", "b.gguf") == ["b.gguf"]


@pytest.mark.parametrize(
    ("name", "paths", "words"),
    [
        ("o/n", ("config.json", "pytorch_model.bin"), r"only as pytorch_model\.bin.*run code"),
        ("o/n", ("a.Q4.gguf", "a.Q8.gguf"), r"name one, such as o/n:a\.Q4\.gguf.* a\.Q8\.gguf"),
        ("o/n:a.Q9.gguf", ("a.Q4.gguf", "a.Q8.gguf"), r"no a\.Q9\.gguf.*Did you mean a\.Q"),
        ("o/n:a.gguf", SAFE, "holds no GGUF file"),
        ("o/n", ("a-00001-of-00002.gguf",), "a piece of a file"),
        ("o/n", ("README.md",), "holds no weights"),
        ("o/n", ("adapter_model.safetensors", *SAFE), "is an adapter"),
        ("o/n", ("model.safetensors", "config.json"), r"has no tokenizer\.json"),
    ],
)
def test_what_is_refused(name: str, paths: tuple[str, ...], words: str) -> None:
    with pytest.raises(Refused, match=words):
        chosen(name, *paths)


def test_a_configuration() -> None:
    check_config("o/n", {"architectures": ["LlamaForCausalLM"]}, {})
    check_config("o/n", {}, {})
    with pytest.raises(Refused, match="code of its own"):
        check_config("o/n", {}, {"auto_map": {}})
    with pytest.raises(Refused, match="code of its own"):
        check_config("o/n", {"auto_map": {}}, {})
    check_config("o/n", {"architectures": ["BertModel"]}, {})
    check_config("o/n", {"architectures": ["BertForMaskedLM"]}, {}, has_modules=True)
    with pytest.raises(Refused, match="is a BertForMaskedLM, and no model that writes text or"):
        check_config("o/n", {"architectures": ["BertForMaskedLM"]}, {})
