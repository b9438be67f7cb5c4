"""Which folders make vectors, and how; what is not done here is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.engine.folders import facts_of
from aiplat.engine.vector_folder import Layout, are_vectors, layout_of, makes_vectors

CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512,
    "vocab_size": 99, "hidden_size": 8,
}  # fmt: skip
TRANSFORMER = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
MEAN = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False}  # fmt: skip


def folder_of(tmp_path: Path, files: dict[str, Any]) -> Path:
    """A folder with these files of JSON, and a configuration."""
    for name, content in ({"config.json": CONFIG} | files).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return tmp_path


def sentence_transformer(pooling: dict[str, Any] = MEAN, *modules: Any) -> dict[str, Any]:
    return {
        "modules.json": [TRANSFORMER, POOLING, *modules],
        "1_Pooling/config.json": pooling,
    }


@pytest.mark.parametrize(
    ("config", "has_modules", "found"),
    [
        ({"architectures": ["BertModel"]}, False, True),
        ({"architectures": ["XLMRobertaModel"]}, False, True),
        ({"architectures": ["LlamaForCausalLM"]}, False, False),
        ({"architectures": ["GPT2LMHeadModel"]}, False, False),
        ({"architectures": ["BertForMaskedLM"]}, False, False),
        ({"architectures": ["BertForMaskedLM"]}, True, True),
        ({"architectures": []}, False, False),
        ({}, False, False),
        ({"architectures": "BertModel"}, False, False),
        ({}, True, True),
    ],
)
def test_the_folder_decides(config: dict[str, Any], has_modules: bool, found: bool) -> None:
    assert are_vectors(config, has_modules=has_modules) is found


def test_a_broken_or_missing_configuration_tells_nothing(tmp_path: Path) -> None:
    assert not makes_vectors(tmp_path)
    (tmp_path / "config.json").write_text("[")
    assert not makes_vectors(tmp_path)


def test_a_bare_encoder_takes_the_mean(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"tokenizer_config.json": {"model_max_length": int(1e30)}})
    assert makes_vectors(folder)
    assert layout_of(folder) == Layout(pooling="mean", longest=512)


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        (MEAN, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_max_tokens": True, "include_prompt": True}, "max"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_how_tokens_become_one_vector(pooling: dict[str, Any], mode: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, sentence_transformer(pooling, NORMALIZE))
    assert layout_of(folder).pooling == mode


@pytest.mark.parametrize(
    ("pooling", "words"),
    [
        ({"pooling_mode_lasttoken": True}, "takes pooling_mode_lasttoken of a text's tokens"),
        ({"pooling_mode_weightedmean_tokens": True}, "takes pooling_mode_weightedmean_tokens"),
        ({"pooling_mode": "lasttoken"}, "takes pooling_mode_lasttoken"),
        (MEAN | {"pooling_mode_cls_token": True}, "mean_tokens, pooling_mode_cls_token"),
        ({}, "takes nothing"),
    ],
)
def test_other_ways_are_refused_by_name(
    pooling: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        layout_of(folder_of(tmp_path, sentence_transformer(pooling)))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            sentence_transformer(MEAN, {"path": "2_Dense", "type": "x.models.Dense"}),
            "has the module Dense, which is not made here",
        ),
        (
            {"modules.json": [TRANSFORMER | {"path": "0_Transformer"}, POOLING]},
            "has the module Transformer in '0_Transformer'",
        ),
        (
            {"modules.json": [TRANSFORMER, POOLING | {"path": "../outside"}]},
            "has the module Pooling",
        ),
        ({"modules.json": [TRANSFORMER, POOLING]}, r"1_Pooling.config\.json is not there"),
        ({"modules.json": {"a": 1}}, "is no list of modules"),
        ({"modules.json": [{"idx": 0}]}, "is no list of modules"),
        (
            {"config_sentence_transformers.json": {"default_prompt_name": "query"}},
            "default_prompt_name 'query'",
        ),
        ({"config.json": CONFIG | {"is_encoder_decoder": True}}, "reads and writes"),
    ],
)
def test_what_else_is_not_done_here(files: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        layout_of(folder_of(tmp_path, files))


@pytest.mark.parametrize(
    ("files", "longest"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512),
        ({"tokenizer_config.json": {"model_max_length": 128}}, 128),
        ({"config.json": CONFIG | {"model_type": "xlm-roberta", "pad_token_id": 1,
                                   "max_position_embeddings": 514}}, 512),
    ],
)  # fmt: skip
def test_how_long_a_text_may_be(files: dict[str, Any], longest: int, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, files)
    assert layout_of(folder).longest == longest
    assert facts_of(folder).context == longest


def test_what_else_makes_another_vector_of_a_text_is_in_its_facts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, sentence_transformer())
    before = facts_of(folder)
    folder_of(tmp_path, {"sentence_bert_config.json": {"do_lower_case": True}})
    assert layout_of(folder).lower
    assert facts_of(folder).template != before.template


@pytest.mark.parametrize("said", [{"is_matryoshka": True}, {"matryoshka_dimensions": [256, 128]}])
def test_a_matryoshka_model_says_so(said: dict[str, Any], tmp_path: Path) -> None:
    assert layout_of(folder_of(tmp_path, {"config.json": CONFIG | said})).cuts
