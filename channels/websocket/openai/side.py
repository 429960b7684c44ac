"""Requests that a chat front end makes by itself: titles, tags and follow-up questions for a conversation.

Nobody asked the documents anything, so they are answered by the plain model and leave nothing behind. Such a request is
one message of the user, after at most one of the system and without tools, that has the form of a front end's task:

Open WebUI    begins with "### Task:" and holds the conversation as <chat_history>, or asks for a fitting emoji
LibreChat     begins with one of its three prompts for titles
"""

from __future__ import annotations

from channels.websocket.openai.asked import Asked

BEGINNINGS = (
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji",
    "Provide a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title",
    "Please generate a concise title (max 40 characters) for a conversation that starts with",
)
TASK, HISTORY = "### Task:", "<chat_history>"


def is_side_request(asked: Asked) -> bool:
    terms = asked.terms
    if terms.tools or terms.after or any(said.role != "system" for said in terms.before) or len(terms.before) > 1:
        return False
    text = asked.text.strip()
    return text.startswith(BEGINNINGS) or (text.startswith(TASK) and HISTORY in text)
