"""The official OpenAI SDK for Python as a client of Tidegate: only the base URL and the key are set.

Usage: python check.py BASE_URL KEY
Each function named `check_*` is one check; the first that fails ends the program with its traceback. The texts in
FAULTS are what the contract suite's engines answer with faults.
"""

import sys
import time

import openai

MODEL = "tide-solo"
FAULTS = {
    "error_in_stream": "python meets an error within the stream",
    "busy_once": "python meets a busy engine once",
    "unavailable": "python meets an engine that is down",
    "stray_call": "python meets a call of no tool",
}


def messages(text):
    return [{"role": "system", "content": "You are brief."}, {"role": "user", "content": text}]


def expect(error, call):
    """Runs `call`, which must raise `error`, and gives what was raised."""
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def check_chat(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages("hello"), max_tokens=12)
    assert raw.headers["x-request-id"].startswith("req_"), raw.headers
    answer = raw.parse()
    assert answer._request_id == raw.headers["x-request-id"]
    assert answer.object == "chat.completion" and answer.model == MODEL, answer
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def check_chat_stream(client):
    stream = client.chat.completions.create(model=MODEL, messages=messages("hello"), max_tokens=12, stream=True)
    chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks), "usage that nobody asked for"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    assert {chunk.model for chunk in chunks} == {MODEL}


def check_stream_with_usage(client):
    stream = client.chat.completions.create(
        model=MODEL, messages=messages("hello"), max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    *before, last = list(stream)
    assert last.choices == [] and last.usage.completion_tokens > 0, last
    assert all(chunk.usage is None and chunk.choices for chunk in before)


def check_stream_helper(client):
    with client.chat.completions.stream(model=MODEL, messages=messages("hello")) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    assert final.choices[0].message.content


def check_completions(client):
    answer = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8)
    assert answer.object == "text_completion" and answer.choices[0].text and answer.usage.total_tokens > 0
    chunks = list(client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def check_embeddings(client):
    # The SDK asks for base64 on its own account and decodes it.
    answer = client.embeddings.create(model=MODEL, input=["the tide", "the gate"])
    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding) and answer.data[0].embedding
    assert answer.usage.prompt_tokens > 0


def check_models(client):
    models = list(client.models.list())
    assert MODEL in [model.id for model in models]
    model = client.models.retrieve(MODEL)
    assert model.id == MODEL and model.object == "model" and model.owned_by and isinstance(model.created, int)


def check_tools(client):
    tools = [
        {
            "type": "function",
            "function": {
                "name": "tide_times",
                "description": "High and low water at a harbour",
                "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}, "required": ["harbour"]},
            },
        }
    ]
    choice = {"type": "function", "function": {"name": "tide_times"}}
    asked = {"model": MODEL, "messages": messages("High water in Husum?"), "tools": tools, "tool_choice": choice}
    answer = client.chat.completions.create(**asked)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "tide_times" and call.function.arguments.startswith("{"), call
    chunks = client.chat.completions.create(**asked, stream=True)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert calls[0].function.name == "tide_times"
    assert "".join(call.function.arguments or "" for call in calls) == call_arguments(answer)


def call_arguments(answer):
    return answer.choices[0].message.tool_calls[0].function.arguments


def check_error_classes(client):
    wrong_key = client.with_options(api_key="tg-wrong")
    raised = expect(openai.AuthenticationError, lambda: wrong_key.models.list())
    assert raised.code == "invalid_api_key" and raised.request_id.startswith("req_"), raised.body
    raised = expect(
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="no-such-model", messages=messages("hello")),
    )
    assert raised.code == "model_not_found" and raised.param == "model", raised.body
    raised = expect(
        openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages="not a list")
    )
    assert raised.type == "invalid_request_error" and raised.param == "messages", raised.body


def check_an_error_within_a_stream_is_raised(client):
    stream = client.chat.completions.create(model=MODEL, messages=messages(FAULTS["error_in_stream"]), stream=True)
    raised = expect(openai.APIError, lambda: list(stream))
    assert raised.message, raised


def check_an_answer_that_is_of_no_use_is_raised(client):
    asked = {"model": MODEL, "messages": messages(FAULTS["stray_call"]), "max_tokens": 40}
    raised = expect(openai.APIError, lambda: list(client.chat.completions.create(**asked, stream=True)))
    assert raised.code == "model_output_invalid", raised
    once = client.with_options(max_retries=0)
    raised = expect(openai.InternalServerError, lambda: once.chat.completions.create(**asked))
    assert raised.code == "model_output_invalid" and raised.status_code == 502, raised


def check_retry_after_a_busy_engine(client):
    asked = {"model": MODEL, "messages": messages(FAULTS["busy_once"]), "max_tokens": 4}
    raw = client.chat.completions.with_raw_response.create(**asked)
    assert raw.retries_taken == 1, raw.retries_taken
    assert raw.parse().choices[0].message.content


def check_an_engine_that_is_down_is_a_server_error(client):
    once = client.with_options(max_retries=0)
    asked = {"model": MODEL, "messages": messages(FAULTS["unavailable"])}
    raised = expect(openai.InternalServerError, lambda: once.chat.completions.create(**asked))
    assert raised.status_code in (502, 503) and raised.request_id.startswith("req_"), raised


def main():
    base_url, key = sys.argv[1:]
    client = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, timeout=20)
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            started = time.monotonic()
            check(client)
            print(f"{name} passed in {time.monotonic() - started:.2f} s", flush=True)
    print("all passed")


main()
