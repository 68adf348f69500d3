"""Requests made up at random: what clients send, and what they might."""

import json

WORDS = """the weather in Zürich is 22 °C 東京 は 晴れ Привет мир שלום مرحبا नमस्ते 👩‍👩‍👧‍👦 🇨🇭 naïve café ﬁn İstanbul
don't "quote" back\\slash tab\there <b>html</b> &amp; {{braces}} {%percent%} 100% $x^2$ null None True 1e-5""".split(" ")
# What means something to some template, in the mouth of a client.
SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "</s>", "<s>", "[INST]", "[/INST]", "<|eot_id|>",
    "<｜User｜>", "<｜end▁of▁sentence｜>", "<|start|>assistant<|channel|>final<|message|>", "<|return|>",
    "<think>\nhm\n</think>\n\nSo", "</think>", "<think>", "/no_think", "<tool_response>", "</tool_response>",
    "<tool_call>\n{}\n</tool_call>", "CONTINUE_FINAL_MESSAGE",
]
SPACES = ["", " ", "\n", "\n\n", "\t", "\r\n", "  \n", "\u00a0", "\u3000", "\u2028", "\x1f", "\u200b", "\x0b"]
NUMBERS = [
    0, 1, -7, 2**53, 2**63, 2**70, -(2**100), 0.1, 1.0, -0.0, 1e-5, 1.5e-7, 1e15, 1e16, 123456789.125, 1e22, -2.5e300,
    5e-324,
]


def request(random, reader):
    """A chat request. Most of those for transformers itself have nothing that only an endpoint would put right."""
    made = any_request(random, reader)
    if reader == "transformers" and random.random() < 0.8:
        for message in made["messages"]:
            if not isinstance(message.get("content"), str):
                message["content"] = text(random)
    return made


def agents_request(random):
    """What an agent sends to vLLM's endpoint after some rounds: reasoning, calls and their results, and all that clients
    add to them; tools and what else a template reads also as `chat_template_kwargs`."""
    tools = [tool(random, index) for index in range(random.choice([1, 2, 3]))]
    messages = []
    if random.random() < 0.5:
        messages.append({"role": random.choice(["system", "system", "developer"]), "content": instructions(random)})
    for _ in range(random.choice([1, 1, 2, 3])):
        messages.append({"role": "user", "content": content(random)})
        for _ in range(random.choice([0, 1, 2, 4])):
            messages.extend(with_reasoning(random, calls(random, tools, as_text=True)))
        if random.random() < 0.7:
            messages.extend(with_reasoning(random, [answer(random)]))
    made = {"messages": messages, "add_generation_prompt": random.random() < 0.9, "continue_final_message": False}
    kwargs = {}
    for name in ["enable_thinking", "thinking"]:
        if random.random() < 0.3:
            kwargs[name] = random.choice([True, False, None, "auto"])
    if random.random() < 0.3:
        kwargs["reasoning_effort"] = random.choice(["low", "auto", None])
    where = random.choice(["tools", "tools", "kwargs", "both"])
    if where != "kwargs":
        made["tools"] = tools
    if where != "tools":
        kwargs["tools"] = random.choice([tools, [tool(random, 7)], [{"name": "bare"}], [], None, "auto"])
    if random.random() < 0.2:
        kwargs["documents"] = [{"title": text(random), "text": text(random)}]
    if random.random() < 0.4:
        made["reasoning_effort"] = random.choice(["none", "none", "low", "high", None])
    if kwargs or random.random() < 0.1:
        made["chat_template_kwargs"] = kwargs
    return made


def instructions(random):
    """A system's content, some with the line that Claude Code puts before it."""
    line = "x-anthropic-billing-header: cc_version=2.1; cch=" + str(random.randint(0, 9999)) + ";"
    kind = random.random()
    if kind < 0.1:
        return random.choice([line, line + "\n", line + "\n" + text(random), " " + line])
    if kind < 0.2:
        return [{"type": "text", "text": line}, {"type": "text", "text": text(random), "cache_control": {"type": "ephemeral"}}]
    return content(random, media=False)


def with_reasoning(random, messages):
    """The messages, the first of them with reasoning, under any of its names, or several."""
    first = messages[0]
    for name in ["reasoning", "reasoning_content"]:
        first.pop(name, None)
        if random.random() < 0.5:
            first[name] = random.choice([text(random), text(random), text(random), "", None])
    return messages


def any_request(random, reader):
    tools = [tool(random, index) for index in range(random.choice([0, 0, 1, 2, 3]))]
    messages = conversation(random, tools, as_text=reader == "vllm")
    made = {"messages": messages}
    if tools:
        made["tools"] = tools
    elif random.random() < 0.1:
        made["tools"] = None
    ending = random.choice(["answer", "answer", "answer", "message", "continuation"])
    made["add_generation_prompt"] = ending == "answer"
    made["continue_final_message"] = ending == "continuation"
    if ending == "continuation":
        messages.append({"role": "assistant", "content": text(random)})
    if random.random() < 0.4:
        made["chat_template_kwargs"] = {random.choice(["enable_thinking", "thinking"]): random.random() < 0.5}
    if random.random() < 0.1:
        made["reasoning_effort"] = random.choice(["none", "low", "high"])
    if random.random() < 0.05:
        made["documents"] = [{"title": text(random), "text": text(random)} for _ in range(2)]
    return made


def conversation(random, tools, as_text):
    messages = []
    if random.random() < 0.6:
        messages.append({"role": "developer" if random.random() < 0.1 else "system", "content": content(random, media=False)})
    for _ in range(random.choice([1, 1, 2, 3, 5])):
        user = {"role": "user", "content": content(random)}
        if random.random() < 0.05:
            user["name"] = "ann"
        messages.append(user)
        while tools and random.random() < 0.5:
            messages.extend(calls(random, tools, as_text))
        if random.random() < 0.8:
            messages.append(answer(random))
    if messages[-1]["role"] == "assistant" and random.random() < 0.7:
        messages.append({"role": "user", "content": content(random)})
    if random.random() < 0.03:
        random.shuffle(messages)
    return messages


def answer(random):
    message = {"role": "assistant", "content": content(random, media=False)}
    if random.random() < 0.3:
        message[random.choice(["reasoning", "reasoning_content", "thinking"])] = text(random)
    if random.random() < 0.1:
        message["tool_calls"] = random.choice([None, []])
    if random.random() < 0.1:
        message["refusal"] = None
    return message


def calls(random, tools, as_text):
    """An assistant's message with calls, and what came of them. `as_text`: the arguments are text, as in OpenAI's API;
    vLLM's endpoint takes nothing else."""
    made = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        function = random.choice(tools)["function"]
        arguments = {key(random): value(random, 3) for _ in range(random.choice([0, 1, 2, 4]))}
        if as_text or random.random() < 0.7:
            separators = random.choice([None, (",", ":"), (" , ", " : ")])
            arguments = json.dumps(arguments, ensure_ascii=random.random() < 0.5, separators=separators)
            if random.random() < 0.05:
                arguments = random.choice(["", "{", "[]", "null", " {\"a\": NaN} "])
        identity = "".join(random.choice("abcdefghijklmnopqrstuvwxyzABC0123456789") for _ in range(9))
        call = {"id": identity, "type": "function", "function": {"name": function["name"], "arguments": arguments}}
        if random.random() < 0.2:
            # Put together from a stream.
            call = {"index": len(made), **call, "extra": value(random, 1)}
            call["function"]["parsed_arguments"] = None
        made.append(call)
    message = {"role": "assistant", "tool_calls": made}
    said = random.choice(["null", "absent", "empty", "text"])
    if said != "absent":
        message["content"] = {"null": None, "empty": "", "text": text(random)}[said]
    if random.random() < 0.2:
        message["reasoning_content"] = text(random)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": result(random)} for call in made]
    if random.random() < 0.3:
        for call, given in zip(made, results):
            given["name"] = call["function"]["name"]
    return [message, *results]


def result(random):
    kind = random.random()
    if kind < 0.4:
        return json.dumps(value(random, 3), ensure_ascii=False)
    return [{"type": "text", "text": text(random)}] if kind < 0.5 else text(random)


def content(random, media=True):
    """Text, or now and then a list of parts."""
    if random.random() < 0.85:
        return text(random)
    parts = []
    for _ in range(random.choice([1, 2, 3])):
        if media and random.random() < 0.3:
            kind = random.choice(["image_url", "input_audio", "video_url"])
            parts.append({"type": kind, kind: {"url": "data:,", "data": "", "format": "wav"}})
        else:
            parts.append({"type": "text", "text": text(random)})
        if random.random() < 0.2:
            parts[-1]["cache_control"] = {"type": "ephemeral"}
    return parts


def text(random):
    if random.random() < 0.05:
        return random.choice(SPACES)
    words = [random.choice(SPECIAL) if random.random() < 0.05 else random.choice(WORDS) for _ in range(random.randint(1, 20))]
    between = [random.choice(SPACES) if random.random() < 0.1 else " " for _ in words]
    joined = "".join(part for pair in zip(words, between) for part in pair)
    return random.choice(SPACES) + joined if random.random() < 0.3 else joined.strip()


def value(random, depth):
    kind = random.choice(["text", "number", "constant", "list", "object"] if depth else ["text", "number", "constant"])
    if kind == "text":
        return text(random)
    if kind == "number":
        return random.choice(NUMBERS)
    if kind == "constant":
        return random.choice([True, False, None])
    if kind == "list":
        return [value(random, depth - 1) for _ in range(random.randint(0, 3))]
    return {key(random): value(random, depth - 1) for _ in range(random.randint(0, 3))}


def key(random):
    return random.choice(["city", "unit", "zeta", "alpha", "items", "keys", "größe", "a b", "type", "42"])


def tool(random, index):
    function = {"name": f"get_{random.choice(['weather', 'time', 'price'])}_{index}"}
    if random.random() < 0.9:
        function["description"] = text(random)
    if random.random() < 0.9:
        properties = {key(random): schema(random, 2) for _ in range(random.randint(0, 3))}
        function["parameters"] = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    if random.random() < 0.1:
        function["strict"] = random.random() < 0.5
    made = {"type": "function", "function": function}
    if random.random() < 0.1:
        random.choice([made, function])["defer_loading"] = random.random() < 0.5
    return dict(reversed(made.items())) if random.random() < 0.2 else made


def schema(random, depth):
    kind = random.choice(["string", "number", "integer", "boolean", "array", "object"] if depth else ["string", "number"])
    made = {"type": kind, "description": text(random)}
    if kind == "string" and random.random() < 0.5:
        made["enum"] = [text(random), text(random)]
    if kind == "number" and random.random() < 0.5:
        made["default"] = random.choice(NUMBERS)
    if kind == "array":
        made["items"] = schema(random, depth - 1)
    if kind == "object":
        made["properties"] = {key(random): schema(random, depth - 1) for _ in range(2)}
    return made
