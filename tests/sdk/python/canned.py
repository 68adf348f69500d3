"""The official OpenAI SDK for Python where no model answers: texts, streams, and refusals of structured outputs.

Usage: python canned.py BASE_URL KEY
"""

import json
import sys
from typing import Optional

import openai
from pydantic import BaseModel

TEXT = "High water. Please try again in a while."
ASK = {"model": "tide-gone", "messages": [{"role": "user", "content": "Is it high water?"}]}


class Tide(BaseModel):
    height: Optional[float]
    error: Optional[str]


class Height(BaseModel):
    height: float


def main(url, key):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    answer = client.chat.completions.create(**ASK, n=2)
    assert [choice.message.content for choice in answer.choices] == [TEXT, TEXT], answer
    assert answer.choices[0].message.refusal is None and answer.usage.total_tokens == 0

    parsed = client.chat.completions.parse(**ASK, response_format=Tide)
    message = parsed.choices[0].message
    assert message.parsed is None and message.refusal == TEXT, message
    # Who reads the content without the helper has what the schema says.
    assert Tide.model_validate_json(message.content) == Tide(height=None, error=TEXT)

    with client.chat.completions.stream(**ASK, response_format=Tide) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert "refusal.done" in kinds, kinds
    assert message.refusal == TEXT and json.loads(message.content) == {"height": None, "error": TEXT}, message

    with client.chat.completions.stream(**ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == TEXT

    try:
        client.chat.completions.parse(**ASK, response_format=Height)
        raise AssertionError("a height was made up")
    except openai.InternalServerError as error:
        assert error.status_code == 502, error

    free = client.chat.completions.create(**ASK, response_format={"type": "json_object"})
    assert json.loads(free.choices[0].message.content) == {"error": TEXT}
    completion = client.completions.create(model="tide-gone", prompt="Is it high water?")
    assert completion.choices[0].text == TEXT
    print("all passed")


main(*sys.argv[1:])
