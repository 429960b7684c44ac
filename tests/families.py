"""Chat templates and calls in the form of each family of models, small but with their marks."""

from __future__ import annotations

from dataclasses import dataclass

CALLS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}"
    '<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}"
)
HERMES = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n{% endif %}" + CALLS
)
LLAMA = (
    "{% if tools %}Answer in the format "
    '{{ \'{"name": function name, "parameters": the arguments}\' }}{{ tools | tojson(indent=4) }}{% endif %}'
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{% if 'tool_calls' in m %}{% if m.tool_calls | length > 1 %}{{ raise_exception('one call at once') }}{% endif %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", '
    '"parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "{% elif m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content | trim }}{% endif %}<|eot_id|>"
    "{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)
GEMMA = (
    '{% for t in tools or [] %}<|tool>{{ t.function.name }}{description:<|"|>{{ t.function.description }}<|"|>}<tool|>'
    "{% endfor %}{% for m in messages %}<|turn>{{ m.role }}\n{% for c in m.tool_calls or [] %}"
    "{{ '<|tool_call>call:' + c.function.name + '{' }}"
    '{% for k, v in c.function.arguments | items %}{{ k }}:<|"|>{{ v }}<|"|>{% endfor %}}<tool_call|>{% endfor %}'
    "{{ m.content | trim }}<turn|>\n{% endfor %}{{ '<|turn>model\n' }}"
)
GRANITE = (
    "{% if tools %}<|start_of_role|>tools<|end_of_role|>Answer with <|tool_call|> and a list. {{ tools | tojson }}"
    "{% endif %}{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n"
    "{% endfor %}<|start_of_role|>assistant<|end_of_role|>"
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a model of a family says, and what that means: the text of the answer, and (tool, arguments) each."""

    family: str
    says: str
    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()


ADD = ("add", '{"a": 2, "b": [1, "x"]}')
TIME = ("time", "{}")
SAMPLES = {
    "hermes": Sample(
        family="hermes",
        says='Let me see.\n<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": [1, "x"]}}\n</tool_call>',
        text="Let me see.\n",
        calls=(ADD,),
    ),
    "hermes, two": Sample(
        family="hermes",
        says='<tool_call>{"name": "add", "arguments": {"a": 2, "b": [1, "x"]}}</tool_call>\n'
        '<tool_call>{"name": "time"}</tool_call>',
        calls=(ADD, TIME),
    ),
    "hermes, a tool that was not offered": Sample(
        family="hermes", says='<tool_call>{"name": "weather"}</tool_call>', calls=(("weather", "{}"),)
    ),
    "hermes, arguments as text": Sample(
        family="hermes",
        says='<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>',
        calls=(("add", '{"a": 1}'),),
    ),
    "hermes, a mark in a string": Sample(
        family="hermes",
        says='<tool_call>{"name": "add", "arguments": {"a": "</tool_call> \\"</tool_call>"}}</tool_call>',
        calls=(("add", '{"a": "</tool_call> \\"</tool_call>"}'),),
    ),
    "hermes, cut off before the mark": Sample(
        family="hermes", says='<tool_call>{"name": "time", "arguments": {}}', calls=(TIME,)
    ),
    "hermes, not JSON": Sample(
        family="hermes",
        says="<tool_call>add 2 and 2</tool_call> is what I would call",
        text="<tool_call>add 2 and 2</tool_call> is what I would call",
    ),
    "hermes, no name": Sample(
        family="hermes",
        says='<tool_call>{"sum": "add"}</tool_call><tool_call>{"name": "time"}</tool_call>',
        text='<tool_call>{"sum": "add"}</tool_call>',
        calls=(TIME,),
    ),
    "hermes, a string without an end": Sample(
        family="hermes", says='<tool_call>{"name": "ad</tool_call>', text='<tool_call>{"name": "ad</tool_call>'
    ),
    "hermes, only the mark": Sample(family="hermes", says="a <tool_call>", text="a <tool_call>"),
    "hermes, half a mark": Sample(family="hermes", says="a <tool_cal b <tool", text="a <tool_cal b <tool"),
    "hermes, infinite": Sample(
        family="hermes",
        says='<tool_call>{"name": "add", "arguments": {"a": Infinity}}</tool_call>',
        text='<tool_call>{"name": "add", "arguments": {"a": Infinity}}</tool_call>',
    ),
    "hermes, words after a call": Sample(
        family="hermes", says='<tool_call>{"name": "time"}</tool_call>\n\nWait.', text="Wait.", calls=(TIME,)
    ),
    "tags": Sample(
        family="hermes",
        says='<tool_call>\n<function=add>\n<parameter=a>\n2\n</parameter>\n<parameter=b>\n[1, "x"]\n</parameter>\n'
        "</function>\n</tool_call>",
        calls=(ADD,),
    ),
    "tags, lines of text": Sample(
        family="hermes",
        says="<tool_call><function=note><parameter=text>one\ntwo\n</parameter></function></tool_call>",
        calls=(("note", '{"text": "one\\ntwo"}'),),
    ),
    "tags, no parameters": Sample(
        family="hermes", says="<tool_call><function=time></function></tool_call>", calls=(TIME,)
    ),
    "tags, torn": Sample(
        family="hermes",
        says="<tool_call><function=add><parameter=a>2</function></tool_call>",
        text="<tool_call><function=add><parameter=a>2</function></tool_call>",
    ),
    "llama": Sample(family="llama", says='{"name": "add", "parameters": {"a": 2, "b": [1, "x"]}}', calls=(ADD,)),
    "llama, with its type": Sample(
        family="llama", says=' {"type": "function", "name": "time", "parameters": {}}', calls=(TIME,)
    ),
    "llama, two": Sample(
        family="llama",
        says='{"name": "add", "parameters": {"a": 2, "b": [1, "x"]}}; {"name": "time", "parameters": {}}',
        calls=(ADD, TIME),
    ),
    "llama, with the mark": Sample(
        family="llama", says='<|python_tag|>{"name": "time", "parameters": {}}', calls=(TIME,)
    ),
    "llama, a tool that was not offered": Sample(
        family="llama", says='{"name": "weather", "parameters": {}}', calls=(("weather", "{}"),)
    ),
    "llama, a name that is no tool's": Sample(
        family="llama",
        says='{"name": "Ada Lovelace", "parameters": {}}',
        text='{"name": "Ada Lovelace", "parameters": {}}',
    ),
    "llama, other JSON": Sample(family="llama", says='{"answer": 4}', text='{"answer": 4}'),
    "llama, JSON further down": Sample(
        family="llama", says='It is {"name": "time", "parameters": {}}', text='It is {"name": "time", "parameters": {}}'
    ),
    "llama, code": Sample(family="llama", says="<|python_tag|>print(1)", text="<|python_tag|>print(1)"),
    "gemma": Sample(
        family="gemma",
        says='<|tool_call>call:add{a:2,b:[1,<|"|>x<|"|>]}<tool_call|>',
        calls=(ADD,),
    ),
    "gemma, two": Sample(
        family="gemma",
        says="<|tool_call>call:time{}<tool_call|><|tool_call>call:time{}<tool_call|>",
        calls=(TIME, TIME),
    ),
    "gemma, values of all kinds": Sample(
        family="gemma",
        says='<|tool_call>call:set{on:true,off:false,no:null,n:-1.5,o:{k:<|"|>a,b:{c}<tool_call|><|"|>},'
        '<|"|>q:<|"|>:1,w:word}<tool_call|>',
        calls=(
            (
                "set",
                '{"on": true, "off": false, "no": null, "n": -1.5, "o": {"k": "a,b:{c}<tool_call|>"}, "q:": 1, '
                '"w": "word"}',
            ),
        ),
    ),
    "gemma, torn": Sample(
        family="gemma", says="<|tool_call>call:add{a:2<tool_call|>", text="<|tool_call>call:add{a:2<tool_call|>"
    ),
    "gemma, nested without end": Sample(
        family="gemma",
        says="<|tool_call>call:add{a:" + "[" * 200 + "<tool_call|>",
        text="<|tool_call>call:add{a:" + "[" * 200 + "<tool_call|>",
    ),
    "granite": Sample(
        family="granite",
        says='<|tool_call|>[{"name": "add", "arguments": {"a": 2, "b": [1, "x"]}}, {"name": "time", "arguments": {}}]',
        calls=(ADD, TIME),
    ),
    "granite, no list": Sample(family="granite", says='<|tool_call|>{"name": "time", "arguments": {}}', calls=(TIME,)),
    "granite, words": Sample(family="granite", says="<|tool_call|>none", text="<|tool_call|>none"),
}
OFFERED = {"add": ("a", "b"), "time": ()}
