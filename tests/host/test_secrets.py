"""Secrets are known by their names and shapes, are checked without being told, and are masked in every text."""

from __future__ import annotations

import re
import time

import pytest

from agentd.host import secrets
from agentd.host.secrets import MASK, cleaned, is_secret_name, looks_random, masked, note

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


@pytest.mark.parametrize(
    "name",
    "token bot_token botToken accesstoken api_key apiKey APIKEY LLAMA_API_KEY keys private-key secret clientSecret pass"
    " password db.passwd passphrase pwd pin hook webhook web_hooks bearer signing signing_secret sig dsn cookie jwt"
    " authorization auth oauth2 hmac salt credentials session_string X-Api-Key totp".split(),
)
def test_a_name_tells_that_it_is_a_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    "host port url proxy keyboard monkey author passive compass poll_seconds chats name build pinned signal"
    " PYTHONPATH CUDA_VISIBLE_DEVICES OMP_NUM_THREADS LD_LIBRARY_PATH GGML_CUDA_NO_PINNED hooked".split(),
)
def test_a_name_of_something_else_tells_nothing(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"see {TOKEN}", f"see {MASK}"),
        (f"https://api.telegram.org/bot{TOKEN}/getMe", f"https://api.telegram.org/bot{MASK}/getMe"),
        ("http://ann:s3cret@host/x", f"http://{MASK}@host/x"),
        ("http://bob:pa/ss@host/x", f"http://{MASK}@host/x"),
        ("http://host/v1?api-key=abc&x=1", f"http://host/v1?api-key={MASK}&x=1"),
        ("https://h/f.gguf?X-Amz-Signature=abc", f"https://h/f.gguf?X-Amz-Signature={MASK}"),
        ("key sk-SECRET is wrong", f"key {MASK} is wrong"),
        ("Authorization: Bearer abcdefgh.123", f"Authorization: Bearer {MASK}"),
        ("https://hooks.slack.com/services/T0/B0/xyz", f"https://hooks.slack.com/services/{MASK}"),
        ("https://discord.com/api/webhooks/1/xyz", f"https://discord.com/api/webhooks/{MASK}"),
        ("hf_abcdefghijklmnopqrstuv", MASK),
        (f"agentd_{'Ab1-_' * 8}xyz", MASK),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END", MASK),
        ("http://127.0.0.1:8080/v1 answers: the task-list of risk-takers", None),
        ("see http://host/?mail=a@b and the bearer of news", None),
    ],
)
def test_a_shape_is_masked_and_other_text_is_not(text: str, shown: str | None) -> None:
    assert masked(text) == (text if shown is None else shown)


def test_what_was_noted_is_masked_whatever_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_noted", set())
    assert masked("the owls are nice") == "the owls are nice"
    note("owls are")
    note("nice"[:2])
    assert masked("the owls are nice") == f"the {MASK} nice"


def test_long_texts_of_letters_and_digits_look_random() -> None:
    assert looks_random("Zx81mq02kkd93jd82hd72hs62") and looks_random("a1" * 200)
    for text in ("a-name-of-words-and-hyphens", "1234567890123456789012345", "short1", "two words 123 and many more"):
        assert not looks_random(text)


@pytest.mark.parametrize("given", ["\r", "\n", "\r\n", " ", "\t", "\ufeff", "\u00a0", "\u2028"])
def test_blanks_and_line_ends_around_a_key_are_dropped(given: str) -> None:
    assert cleaned(f"{given}sk-4711{given}") == "sk-4711"


@pytest.mark.parametrize("inside", ["\0", "\t", "\x7f", "\u200b", "é", "\u2028", "\udc80"])
def test_a_character_that_no_header_can_carry_is_told_without_the_key_and_its_length(inside: str) -> None:
    with pytest.raises(ValueError, match=r"^has a .* place 4 .* HTTP header ") as told:
        cleaned(f"abc{inside}def")
    assert not any(secret in str(told.value) for secret in ("abc", "def", "7"))


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", ["api_key", "password"])
def test_a_key_of_two_lines_is_told_without_the_key_and_its_length(end: str, name: str) -> None:
    with pytest.raises(ValueError, match=r" one line; ") as told:
        cleaned(f"abc{end}def", name)
    assert not re.search(r"abc|def|\d", str(told.value))


def test_a_password_may_hold_letters_of_any_script_but_nothing_invisible() -> None:
    assert cleaned(" пароль слово\n", "imap_password") == "пароль слово"
    with pytest.raises(ValueError, match="at place 2"):
        cleaned("a\u200bb", "password")


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "://",
        "://a:",
        "://a",
        "?key=",
        "&a",
        "sk-",
        "eyJaaaaaaaaa.",
        "-----BEGIN ",
        "Bearer ",
        "a1",
        "hf_",
        "agentd_",
    ],
)
def test_masking_grows_no_faster_than_the_text(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.process_time()
        masked(text)
        return time.process_time() - begun

    small = min(seconds(20_000) for _ in range(3))
    assert min(seconds(80_000) for _ in range(3)) < 12 * small + 0.05
