"""A message as its question and the text that was pasted with it; pure."""

from __future__ import annotations

import re

from agentd.language import is_question

LONGEST_QUESTION = 1000
"""Characters of a paragraph that may be the question to the text around it."""
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


def divided(message: str) -> tuple[str, str]:
    """A message as its question and the text that is given with it; the text is "" if there is none.

    The question is the last paragraph, as `agentd ask` puts it, or the first one if only that is asked as one.
    """
    paragraphs = [paragraph for paragraph in _PARAGRAPHS.split(message) if paragraph.strip()]
    if len(paragraphs) < 2:
        return message, ""
    first = is_question(paragraphs[0]) and not is_question(paragraphs[-1])
    question = paragraphs[0] if first else paragraphs[-1]
    if len(question) > LONGEST_QUESTION:
        return message, ""
    rest = paragraphs[1:] if first else paragraphs[:-1]
    return question, "\n\n".join(rest)
