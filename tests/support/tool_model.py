"""The embedded model with a chat template that has tools, as its larger sisters have one.

The words are those that SmolLM2's authors give for function calling (the model card of
SmolLM2-1.7B-Instruct). The model of 135M was not trained on them: what it calls by itself is luck,
what it must call it calls.
"""

from __future__ import annotations

import os
from pathlib import Path

TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system
You are an expert in composing functions. You are given a question and a set of possible functions.
Based on the question, you will need to make one or more function/tool calls to achieve the purpose.
If none of the functions can be used, point it out and refuse to answer.

You have access to the following tools:
<tools>' + (tools | tojson) + '</tools>

The output MUST strictly adhere to the following format, and NO other text MUST be included.
If no function call is needed, please make the tool calls an empty list "[]".
<tool_call>[
{"name": "func_name1", "arguments": {"argument1": "value1", "argument2": "value2"}}
]</tool_call><|im_end|>
' }}{%- elif messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{%- endif %}
{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '
' + message['content'] }}
{%- if message.tool_calls %}{{ '<tool_call>[' }}
{%- for call in message.tool_calls %}{{ call.function | tojson }}{{ ', ' if not loop.last }}
{%- endfor %}{{ ']</tool_call>' }}{%- endif %}{{ '<|im_end|>
' }}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{%- endif %}"""


def make_tool_model(model: Path, folder: Path) -> Path:
    """Make `folder` of a pulled model: its own files, linked, with the template above."""
    folder.mkdir(parents=True)
    for file in model.iterdir():
        if file.name not in ("chat_template.jinja", "manifest.json"):
            os.symlink(file, folder / file.name)
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return folder
