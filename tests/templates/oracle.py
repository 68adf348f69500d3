"""What transformers makes of conversations, for gateway-core/tests/templates to compare with.

    oracle.py CONVERSATIONS SEED NAME=tokenizer_config.json|template.jinja ... > cases.jsonl

A line with "template" begins the cases of one template, CONVERSATIONS of all kinds and as many of agents; each further
line is a request, who reads it, and what comes of it: the prompt, the message of a template that refuses it, or nothing
where it fails otherwise. Where a tokenizer.json stands beside the tokenizer_config.json, the prompt comes with how many
tokens it is.
"""

import copy
import datetime
import json
import pathlib
import random
import sys

import jinja2
import tokenizers
import transformers
from transformers.utils import chat_template_utils

import conversations
import vllm

NOW = datetime.datetime(2026, 2, 9, 7, 5, 3, 42)


class FrozenTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    count, seed, *sources = sys.argv[1:]
    chat_template_utils.datetime = FrozenTime
    for named in sources:
        name, path = named.split("=", 1)
        tokenizer, counts = load(path)
        template = tokenizer.get_chat_template()
        micros = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp() * 1_000_000)
        line(
            {
                "template": template,
                "name": name,
                "special_tokens": {key: str(value) for key, value in tokenizer.special_tokens_map.items()},
                "parts": vllm.wants_parts(template),
                "now_micros": micros,
            }
        )
        for index in range(int(count)):
            chooser = random.Random(f"{seed} {name} {index}")
            reader = chooser.choice(["transformers", "vllm"])
            case(tokenizer, counts, reader, conversations.request(chooser, reader), chooser)
        for index in range(int(count)):
            chooser = random.Random(f"{seed} {name} agent {index}")
            case(tokenizer, counts, "vllm", conversations.agents_request(chooser), chooser)


def case(tokenizer, counts, reader, request, chooser):
    # As text, because that is what both read.
    request = json.dumps(request, ensure_ascii=chooser.random() < 0.5)
    line({"reader": reader, "request": json.loads(request), **outcome(tokenizer, counts, reader, json.loads(request))})


def load(path):
    """A tokenizer with the template and the special tokens of a real one, and whether it has its vocabulary too."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    config = {"chat_template": text} if path.endswith(".jinja") else json.loads(text)
    names = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
    special = {name: token_text(config[name]) for name in names if config.get(name)}
    vocabulary = pathlib.Path(path).with_name("tokenizer.json")
    counts = vocabulary.exists()
    model = tokenizers.Tokenizer.from_file(str(vocabulary)) if counts else tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, chat_template=config["chat_template"], **special
    )
    return tokenizer, counts


def token_text(token):
    return token if isinstance(token, str) else token["content"]


def outcome(tokenizer, counts, reader, request):
    try:
        if reader == "vllm":
            request = vllm.prepared(request, tokenizer.chat_template)
        else:
            request = {**(request.pop("chat_template_kwargs", None) or {}), **request}
        messages = request.pop("messages")
        # Templates may change what they are given.
        again = copy.deepcopy(messages), copy.deepcopy(request)
        rendered = {"rendered": tokenizer.apply_chat_template(messages, tokenize=False, **request)}
        if counts:
            ids = tokenizer.apply_chat_template(again[0], tokenize=True, return_dict=False, **again[1])
            rendered["count"] = len(ids)
        return rendered
    except jinja2.TemplateError as error:
        # What `raise_exception` raises; the engine's own errors are of derived classes.
        return {"refused": str(error)} if type(error) is jinja2.TemplateError else {"failed": type(error).__name__}
    except ValueError as error:
        text = str(error)
        return {"refused": text} if text.startswith("continue_final_message is set") else {"failed": "ValueError"}
    except Exception as error:
        return {"failed": type(error).__name__}


def line(value):
    print(json.dumps(value, ensure_ascii=False))


if __name__ == "__main__":
    main()
