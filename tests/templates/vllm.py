"""What vLLM does to a chat request before transformers renders it, as far as it shows in a prompt.

In a few lines what the `renderers/chat_utils/chat_message.py`, `renderers/hf.py` and `renderers/params.py` of vLLM 0.33
do, for requests that its endpoint accepts. 0.32 does the same.
"""

import json

import jinja2
from transformers.utils import chat_template_utils

import vllm_request

MEDIA = {"image_url": "image", "input_audio": "audio", "audio_url": "audio", "video_url": "video"}
TEXT = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal", "thinking": "thinking"}
# Members of some type of part; what is none of them stays on a part.
KNOWN = {
    "type", "text", "refusal", "thinking", "closed", "name", "uuid", "file", "data", "prompt_cache_breakpoint",
    "image_url", "input_audio", "audio_url", "video_url", "image_pil", "image_embeds", "audio_embeds", "video_embeds",
}
BILLING = "x-anthropic-billing-header"


def prepared(request, template):
    """Arguments for `apply_chat_template`."""
    request = vllm_request.read(request)
    parts = wants_parts(template)
    messages = [message(given, parts) for given in request.messages]
    if not ('"developer"' in template or "'developer'" in template):
        messages = without_developers(messages)
    given = request.chat_template_kwargs or {}
    variables = {
        "add_generation_prompt": request.add_generation_prompt,
        "continue_final_message": request.continue_final_message,
        "documents": request.documents,
        "reasoning_effort": request.reasoning_effort,
    }
    if request.reasoning_effort is not None and "enable_thinking" not in given:
        variables["enable_thinking"] = request.reasoning_effort != "none"
    tools = request.tools and [vllm_request.known(tool) for tool in request.tools]
    return {"messages": messages, "tools": tools, **told({**given, **told(variables)})}


def told(variables):
    """Those that say something."""
    return {name: value for name, value in variables.items() if value is not None and value != "auto"}


def message(given, parts):
    role = given["role"]
    content = given.get("content")
    content = [] if content is None else [content] if isinstance(content, str) else content
    if role == "system":
        content = [rest for rest in map(without_billing, content) if rest is not None]
    content = [part for part in map(part_of, content) if part is not None]
    as_text = not parts or (role == "tool" and all(part["type"] == "text" for part in content))
    if as_text:
        texts = [part["text"] for part in content if part["type"] == "text"]
        content = "\n".join(text for text in texts if text or parts)
    result = {"role": role, "content": content}
    if role == "assistant":
        if given.get("tool_calls"):
            result["tool_calls"] = [call(item) for item in given["tool_calls"]]
        if given.get("reasoning") is not None:
            result["reasoning"] = result["reasoning_content"] = given["reasoning"]
    if role == "tool" and "tool_call_id" in given:
        result["tool_call_id"] = given["tool_call_id"]
    if isinstance(given.get("name"), str):
        result["name"] = given["name"]
    return result


def without_billing(part):
    text = part if isinstance(part, str) else part["text"] if part["type"] == "text" else ""
    if not text.startswith(BILLING):
        return part
    rest = text.partition("\n")[2]
    return None if not rest else rest if isinstance(part, str) else {**part, "text": rest}


def part_of(part):
    if isinstance(part, str):
        return {"type": "text", "text": part}
    others = {name: value for name, value in part.items() if name not in KNOWN}
    if part["type"] in TEXT:
        text = part[TEXT[part["type"]]]
        return None if text is None else {"type": "text", "text": text, **others}
    return {"type": MEDIA[part["type"]], **others}


def call(given):
    arguments = given["function"].get("arguments")
    try:
        arguments = json.loads(arguments)
    except json.JSONDecodeError:
        arguments = {}
    function = {**given["function"], "arguments": arguments if isinstance(arguments, dict) else {}}
    return {**given, "function": function}


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
