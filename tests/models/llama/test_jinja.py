from __future__ import annotations

from datetime import datetime

import pytest
from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from agentd.models.llama.jinja import environment


def test_what_templates_in_the_wild_use_is_there() -> None:
    source = (
        "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}"
        "{{ {'a': 'ü', 'b': [1]} | tojson }}{{ [1] | tojson(indent=2) }}{% generation %}g{% endgeneration %}"
        "{{ strftime_now('%Y') }}"
    )
    rendered = environment().from_string(source).render()
    assert rendered == '13{"a": "ü", "b": [1]}[\n  1\n]g' + str(datetime.now().year)


def test_a_template_may_raise() -> None:
    with pytest.raises(TemplateError, match="not so"):
        environment().from_string("{{ raise_exception('not so') }}").render()


@pytest.mark.parametrize("source", ["{{ x.append(1) }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}"])
def test_a_template_stays_in_its_sandbox(source: str) -> None:
    with pytest.raises(SecurityError):
        environment().from_string(source).render(x=[])
