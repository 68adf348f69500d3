"""vLLM's request class for chats, as far as it shapes a prompt: as in vLLM 0.32 and 0.33.

What pydantic makes of a message depends on the class that it is a part of: vLLM's allows members that it does not know
(`OpenAIBaseModel`), and so do, inside of it, the types of messages, which on their own would drop them. Messages are
those of the OpenAI SDK, or vLLM's own; the names and members are facts of `entrypoints/openai/chat_completion/protocol.py`
and `renderers/chat_utils/types.py`. vLLM itself cannot be installed without torch.
"""

from typing import Any, Literal

import pydantic
from openai.types import chat
from typing_extensions import Required, TypedDict

Part = (
    chat.ChatCompletionContentPartParam
    | TypedDict("AudioPart", {"type": Required[Literal["audio_url"]], "audio_url": Required[dict]})
    | TypedDict("VideoPart", {"type": Required[Literal["video_url"]], "video_url": Required[dict]})
    | chat.ChatCompletionContentPartRefusalParam
    | TypedDict("AnyPart", {"uuid": str | None}, total=False)
    | TypedDict("ToolReference", {"type": Literal["tool_reference"], "name": str}, total=False)
    | TypedDict("Thinking", {"type": Required[Literal["thinking"]], "thinking": Required[str], "closed": bool}, total=False)
    | str
)


class OwnMessage(TypedDict, total=False):
    role: Required[str]
    content: str | list[Part]
    name: str
    tool_call_id: str | None
    tool_calls: list[chat.ChatCompletionMessageToolCallParam] | None
    reasoning: str | None
    tools: list[chat.ChatCompletionFunctionToolParam] | None
    task: str | None


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class Function(Open):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None


class Tool(Open):
    type: Literal["function"] = "function"
    function: Function
    defer_loading: bool | None = None


class ChatRequest(Open):
    messages: list[chat.ChatCompletionMessageParam | OwnMessage]
    tools: list[Tool] | None = None
    documents: list[dict[str, str]] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False


def read(request):
    """The request as vLLM's endpoint has it; pydantic's error where that would refuse it."""
    for message in request["messages"]:
        reasoning = message.pop("reasoning_content", None)
        if message.get("reasoning") is None and reasoning is not None:
            message["reasoning"] = reasoning
    made = ChatRequest(**request)
    for message in made.messages:
        # The SDK's types have iterables, of which pydantic makes iterators.
        for name in ["content", "tool_calls"]:
            if message.get(name) is not None and not isinstance(message[name], (str, list)):
                message[name] = list(message[name])
    return made


def known(tool):
    """A tool with the members that vLLM knows, in its order."""
    function = {name: getattr(tool.function, name) for name in ["name", "description", "parameters"]}
    deferred = tool.function.defer_loading if tool.function.defer_loading is not None else tool.defer_loading
    if tool.function.strict is not None:
        function["strict"] = tool.function.strict
    if deferred is not None:
        function["defer_loading"] = deferred
    made = {"type": tool.type, "function": function}
    if tool.defer_loading is not None:
        made["defer_loading"] = tool.defer_loading
    return made
