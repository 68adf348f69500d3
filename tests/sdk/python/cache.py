"""The official OpenAI SDK for Python, given an answer of an engine and the same from the response cache.

Usage: python cache.py BASE_URL KEY
"""

import sys
import time

import openai

CACHED = {"x-tidegate-cache": "use"}


PARAMETERS = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
LOOK = {"type": "function", "function": {"name": "look", "strict": True, "parameters": PARAMETERS}}


def asked(text):
    messages = [{"role": "user", "content": text}]
    return {"model": "tide-scripted", "temperature": 0, "seed": 7, "messages": messages, "tools": [LOOK]}


def said(answer):
    """What an answer says, without what is new each time, and what only the SDK adds to streams."""
    answer = answer.to_dict()
    for choice in answer["choices"]:
        choice["message"].pop("parsed", None)
        for call in choice["message"].get("tool_calls") or []:
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return {name: value for name, value in answer.items() if name not in ("id", "created")}


def whole(client, text):
    raw = client.chat.completions.with_raw_response.create(**asked(text), extra_headers=CACHED)
    return raw.headers["x-tidegate-cache"], raw.parse()


def streamed(client, text):
    options = {"include_usage": True}
    with client.chat.completions.stream(**asked(text), stream_options=options, extra_headers=CACHED) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()


def hit(client, text):
    """The first answer that is from the cache: the store may show it only after a while."""
    for _ in range(80):
        status, answer = whole(client, text)
        if status == "hit":
            return answer
        time.sleep(0.1)
    raise AssertionError("nothing is from the cache")


def main(url, key):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
    first = streamed(client, "cache-python-stream")
    again_whole, again = hit(client, "cache-python-stream"), streamed(client, "cache-python-stream")
    assert said(again) == said(first), (said(again), said(first))
    assert again.id != first.id and again.choices[0].message.tool_calls[0].function.name == "look"
    status, first = whole(client, "cache-python-whole")
    assert status == "miss", status
    again = hit(client, "cache-python-whole")
    assert said(again) == said(first), (said(again), said(first))
    assert said(again_whole) == said(first), (said(again_whole), said(first))
    message = again.choices[0].message
    assert message.reasoning_content == "the moon \U0001f319" and again.choices[0].logprobs.content[0].logprob == -0.25
    assert streamed(client, "cache-python-whole").usage == first.usage
    print("all passed")


main(*sys.argv[1:])
