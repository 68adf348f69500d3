"""What vLLM 0.33 does to a chat request before transformers renders it, as far as it shows in a prompt.

vLLM cannot be installed without torch, so this says in a few lines what its `renderers/chat_utils/chat_message.py`,
`renderers/hf.py` and `entrypoints/openai/chat_completion/protocol.py` do, for requests that its endpoint accepts.
"""

import json

import jinja2
from transformers.utils import chat_template_utils

MEDIA = {"image_url": "image", "input_audio": "audio", "audio_url": "audio", "video_url": "video"}


def prepared(request, template):
    """Arguments for `apply_chat_template`."""
    parts = wants_parts(template)
    messages = [message(given, parts) for given in request["messages"]]
    if not ('"developer"' in template or "'developer'" in template):
        messages = without_developers(messages)
    arguments = {name: value for name, value in (request.get("chat_template_kwargs") or {}).items()}
    effort = request.get("reasoning_effort")
    if effort is not None:
        arguments.setdefault("enable_thinking", effort != "none")
        arguments["reasoning_effort"] = effort
    if request.get("documents") is not None:
        arguments["documents"] = request["documents"]
    arguments["add_generation_prompt"] = request.get("add_generation_prompt", True)
    arguments["continue_final_message"] = request.get("continue_final_message", False)
    tools = request.get("tools")
    return {"messages": messages, "tools": tools and [tool(given) for given in tools], **arguments}


def message(given, parts):
    role = given["role"]
    content = given.get("content")
    content = [] if content is None else [content] if isinstance(content, str) else content
    content = [part for part in map(part_of, content) if part is not None]
    as_text = not parts or (role == "tool" and all(part["type"] == "text" for part in content))
    if as_text:
        texts = [part["text"] for part in content if part["type"] == "text"]
        content = "\n".join(text for text in texts if text or parts)
    result = {"role": role, "content": content}
    if role == "assistant":
        if given.get("tool_calls"):
            result["tool_calls"] = [call(item) for item in given["tool_calls"]]
        reasoning = given.get("reasoning") if given.get("reasoning") is not None else given.get("reasoning_content")
        if reasoning is not None and not loses_reasoning(given):
            result["reasoning"] = result["reasoning_content"] = reasoning
    if role == "tool" and "tool_call_id" in given:
        result["tool_call_id"] = given["tool_call_id"]
    if isinstance(given.get("name"), str):
        result["name"] = given["name"]
    return result


def loses_reasoning(given):
    """Whether pydantic takes the message for one of the OpenAI SDK's own type, which has no reasoning in it."""
    content, calls = given.get("content"), given.get("tool_calls")
    if "content" in given and content is None:
        return True
    fits_better = calls or ("tool_calls" in given and calls is None) or (isinstance(content, list) and content)
    return not fits_better and any(name in given for name in ["refusal", "audio", "function_call"])


def part_of(part):
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part["type"] == "text":
        return None if part["text"] is None else {"type": "text", "text": part["text"]}
    return {"type": MEDIA[part["type"]]}


def call(given):
    arguments = given["function"].get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError:
            arguments = {}
    arguments = arguments if isinstance(arguments, dict) else {}
    # The order is that of the OpenAI SDK's types, by which pydantic builds them anew.
    return {"id": given["id"], "function": {"arguments": arguments, "name": given["function"]["name"]}, "type": "function"}


def tool(given):
    function = given["function"]
    known = {name: function.get(name) for name in ["name", "description", "parameters"]}
    if function.get("strict") is not None:
        known["strict"] = function["strict"]
    return {"type": "function", "function": known}


def without_developers(messages):
    if all(given["role"] != "developer" for given in messages):
        return messages
    messages = [{**given, "role": "system"} if given["role"] == "developer" else given for given in messages]
    if all(given["role"] != "system" for given in messages[1:]):
        return messages
    contents = [text_of(given["content"]) for given in messages if given["role"] == "system"]
    merged = {"role": "system", "content": "\n\n".join(content for content in contents if content)}
    return [merged, *(given for given in messages if given["role"] != "system")]


def text_of(content):
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if "text" in part)


def wants_parts(template):
    """Whether a template loops over something that is, by the names in it, the content of a message."""
    compiled = chat_template_utils._compile_jinja_template(template)
    tree = compiled.environment.parse(template)
    nodes = jinja2.nodes
    lists = {"messages"}
    while True:
        found = set()
        for assign in tree.find_all(nodes.Assign):
            if dotted(elements(assign.node)) in lists:
                found.add(dotted(assign.target))
            elif isinstance(assign.node, nodes.Call) and dotted(assign.node.node) == "namespace":
                known = [given.key for given in assign.node.kwargs if dotted(elements(given.value)) in lists]
                found |= {f"{dotted(assign.target)}.{key}" for key in known}
        if found <= lists:
            break
        lists |= found
    loops = list(tree.find_all(nodes.For))
    items = {dotted(loop.target) for loop in loops if dotted(elements(loop.iter)) in lists}

    def is_content(node):
        node = elements(node)
        if isinstance(node, nodes.Getitem):
            return isinstance(node.arg, nodes.Const) and node.arg.value == "content" and dotted(node.node) in items
        return isinstance(node, nodes.Getattr) and node.attr == "content" and dotted(node.node) in items

    given = {}
    in_macros = {}
    for macro in tree.find_all(nodes.Macro):
        names = [argument.name for argument in macro.args]
        calls = [call for call in tree.find_all(nodes.Call) if dotted(call.node) == macro.name]
        positional = {name for call in calls for name, value in zip(names, call.args) if is_content(value)}
        keyword = {value.key for call in calls for value in call.kwargs if value.key in names and is_content(value.value)}
        given[macro.name] = positional | keyword
        in_macros.update({id(loop): macro.name for loop in macro.find_all(nodes.For)})
    return any(
        is_content(loop.iter)
        or isinstance(loop.iter, nodes.Name)
        and loop.iter.name in (given[in_macros[id(loop)]] if id(loop) in in_macros else {"content"})
        for loop in loops
    )


def elements(node):
    nodes = jinja2.nodes
    while True:
        if isinstance(node, (nodes.Filter, nodes.Test)) and node.node is not None:
            node = node.node
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            node = node.node
        else:
            return node


def dotted(node):
    nodes = jinja2.nodes
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and dotted(node.node):
        return f"{dotted(node.node)}.{node.attr}"
    return None
