"""The official OpenAI SDK for Python against a budget of a thousand tokens at once, and a thousand in a second.

Usage: python budgets.py BASE_URL KEY
"""

import sys

import openai

ASK = {"model": "scripted", "prompt": [7] * 800, "max_tokens": 100, "user": "patient python"}


def main(url, key):
    patient = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
    for _ in range(3):
        # Two of three are refused at first: the SDK waits as long as it is told, and asks again.
        patient.completions.create(**ASK)
    hasty = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    try:
        hasty.completions.create(**ASK)
        raise AssertionError("a thousand tokens were there at once")
    except openai.RateLimitError as error:
        assert error.code == "rate_limit_exceeded", error
        assert 0 < int(error.response.headers["retry-after-ms"]) <= 1000, error.response.headers
    try:
        # The SDK would ask again if it were not told that it does not help.
        patient.completions.create(**{**ASK, "prompt": [7] * 5000})
        raise AssertionError("five thousand tokens were there at once")
    except openai.RateLimitError as error:
        assert error.code == "insufficient_quota", error
        assert error.response.request.headers["x-stainless-retry-count"] == "0"
    print("all passed")


main(*sys.argv[1:])
