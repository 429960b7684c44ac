"""What small models wrote when they meant to call a tool, or repeated how tools are told, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

OFFERED = {"calculate": ("expression",), "current_time": ("time_zone",), "search_documents": ("query",)}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a model says with these tools on offer: the text that is shown, and (tool, arguments) of each call."""

    says: str
    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()


SUM = ("calculate", '{"expression": "48.5 * 37 - 12"}')
NOW = ("current_time", "{}")
RAW = {
    "a fenced block": Raw(
        says='```json\n{\n  "name": "calculate",\n  "arguments": {\n    "expression": "48.5 * 37 - 12"\n  }\n}\n```',
        calls=(SUM,),
    ),
    "a fenced block behind words, and words behind it": Raw(
        says="I work it out:\n\n```json\n"
        '{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}\n```\n\nSoon.',
        text="I work it out:\n\nSoon.",
        calls=(SUM,),
    ),
    "a fence without a language": Raw(says='```\n{"name": "current_time", "arguments": {}}\n```', calls=(NOW,)),
    "a fence with two": Raw(
        says='```json\n{"name": "current_time", "arguments": {}}\n'
        '{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}\n```',
        calls=(NOW, SUM),
    ),
    "a fence without its end": Raw(says='```json\n{"name": "current_time", "arguments": {}}', calls=(NOW,)),
    "a bare object": Raw(
        says='{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}',
        calls=(SUM,),
    ),
    "a bare object on its own lines": Raw(
        says='Let me see.\n{"name": "current_time", "arguments": {}}\nDone.', text="Let me see.\nDone.", calls=(NOW,)
    ),
    "words of the schema beside the arguments": Raw(
        says='{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12", "type": "number"}}', calls=(SUM,)
    ),
    "a list of required arguments beside them": Raw(
        says='{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12", "required": ["expression"]}}',
        calls=(SUM,),
    ),
    "tags without an end": Raw(
        says='<tool_call>\n{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}', calls=(SUM,)
    ),
    "tags without an end, and words": Raw(
        says='<tool_call>\n{"name": "current_time", "arguments": {}}\nIt is noon.', text="It is noon.", calls=(NOW,)
    ),
    "tags and a brace too few": Raw(
        says='<tool_call>\n{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}\n</tool_call>',
        calls=(SUM,),
    ),
    "a brace too few": Raw(says='{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}', calls=(SUM,)),
    "a brace too many": Raw(says='{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}}', calls=(SUM,)),
    "doubled braces": Raw(
        says='<tool_call>\n{{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}}\n</tool_call>',
        calls=(SUM,),
    ),
    "another family's tags": Raw(says='<tools>\n{"name": "current_time", "arguments": {}}\n</tools>', calls=(NOW,)),
    "single quotes": Raw(says="{'name': 'calculate', 'arguments': {'expression': '48.5 * 37 - 12'}}", calls=(SUM,)),
    "Python's words": Raw(says="{'name': 'current_time', 'arguments': None}", calls=(NOW,)),
    "commas too many": Raw(
        says='[{"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12",},},]', calls=(SUM,)
    ),
    "keys without quotes": Raw(says='{name: "calculate", arguments: {expression: "48.5 * 37 - 12"}}', calls=(SUM,)),
    "arguments as JSON in a string": Raw(
        says='{"name": "calculate", "arguments": "{\\"expression\\": \\"48.5 * 37 - 12\\"}"}', calls=(SUM,)
    ),
    "the argument itself as a string": Raw(says='{"name": "calculate", "arguments": "48.5 * 37 - 12"}', calls=(SUM,)),
    "arguments in a list": Raw(says='{"name": "calculate", "arguments": ["48.5 * 37 - 12"]}', calls=(SUM,)),
    "parameters": Raw(says='{"name": "calculate", "parameters": {"expression": "48.5 * 37 - 12"}}', calls=(SUM,)),
    "the argument beside the name": Raw(says='{"name": "calculate", "expression": "48.5 * 37 - 12"}', calls=(SUM,)),
    "no arguments": Raw(says='{"name": "current_time"}', calls=(NOW,)),
    "within a function": Raw(
        says='{"type": "function", "function": {"name": "calculate", "arguments": {"expression": "48.5 * 37 - 12"}}}',
        calls=(SUM,),
    ),
    "within tool_calls": Raw(
        says='{"tool_calls": [{"id": "1", "function": {"name": "current_time", "arguments": "{}"}}]}',
        calls=(NOW,),
    ),
    "a tool": Raw(says='{"tool": "calculate", "args": {"expression": "48.5 * 37 - 12"}}', calls=(SUM,)),
    "the tool as the key": Raw(says='{"calculate": {"expression": "48.5 * 37 - 12"}}', calls=(SUM,)),
    "a name with its room": Raw(says='{"name": "functions.current_time", "arguments": {}}', calls=(NOW,)),
    "a function of Python": Raw(says='calculate(expression="48.5 * 37 - 12")', calls=(SUM,)),
    "a function in a fence": Raw(says="```python\ncalculate('48.5 * 37 - 12')\n```", calls=(SUM,)),
    "a function of what is not quoted": Raw(says="calculate(48.5 * 37 - 12)", calls=(SUM,)),
    "a function by keyword, not quoted": Raw(says="calculate(expression=48.5 * 37 - 12)", calls=(SUM,)),
    "a function without arguments": Raw(says="Let me look.\ncurrent_time()", text="Let me look.\n", calls=(NOW,)),
    "a tool that there is not": Raw(
        says='{"name": "hello", "arguments": {"message": "Hello, how can I assist you today?"}}',
        calls=(("hello", '{"message": "Hello, how can I assist you today?"}'),),
    ),
    "a tool that there is not, in a fence": Raw(
        says='```json\n{"name": "git", "arguments": {"command": "stash"}}\n```',
        calls=(("git", '{"command": "stash"}'),),
    ),
    "other JSON": Raw(says='{"name": "Ada", "age": 36}', text='{"name": "Ada", "age": 36}'),
    "other JSON with arguments": Raw(
        says='{"name": "Ada", "arguments": {}, "age": 36}', text='{"name": "Ada", "arguments": {}, "age": 36}'
    ),
    "JSON in a fence": Raw(
        says='Like so:\n```json\n{"type": "object", "id": 3}\n```\nThat is all.',
        text='Like so:\n```json\n{"type": "object", "id": 3}\n```\nThat is all.',
    ),
    "code in a fence": Raw(
        says="```python\ndef calculate(expression):\n    return current\n```",
        text="```python\ndef calculate(expression):\n    return current\n```",
    ),
    "a call in the middle of a line": Raw(
        says='Say {"name": "current_time", "arguments": {}} or current_time() to me.',
        text='Say {"name": "current_time", "arguments": {}} or current_time() to me.',
    ),
    "a citation": Raw(says="[1] says so.\n[2] does not.\n{1}", text="[1] says so.\n[2] does not.\n{1}"),
    "a list in Markdown": Raw(
        says="- calculate it\n- [ ] current_time\ncalculate\n", text="- calculate it\n- [ ] current_time\ncalculate\n"
    ),
    "torn": Raw(
        says='{"name": "calculate", "arguments": {"expression: 48.5}}',
        text='{"name": "calculate", "arguments": {"expression: 48.5}}',
    ),
}
