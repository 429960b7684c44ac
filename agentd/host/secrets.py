"""Secrets: how they are recognised by name and shape, what they may contain, and how they are masked for people.

`note` registers every secret that is read; from then on `masked` hides it in any text, for as long as the process
lives. All patterns are bounded, so that they take linear time on any text.
"""

from __future__ import annotations

import re

MASK = "********"
SHORTEST = 6
"""`masked` looks for secrets of at least this many characters; shorter ones would hide half of every text."""

_noted: set[str] = set()

_WORDS = re.compile(r"(?:^|_)(?:keys?|auth|pass|pins?|pwd|pw|psk|salt|dsn|t?otp|hooks?|sigs?|creds?|jwt)(?:$|_)")
_PARTS = re.compile(
    r"token|secret|passw|passphrase|passcode|credential|bearer|authorization|oauth|signing|signature|cookie|hmac"
    r"|webhook|mnemonic|session_?string|(?:api|access|private|signing|master|auth|bot)_?key"
)
_PASSWORD = re.compile(r"pass(?!ive)|pwd|pw(?:$|_)")
_RANDOM = re.compile(r"(?=.{0,99}[0-9])(?=.{0,99}[A-Za-z])[A-Za-z0-9_+/=-]{24,}")
_SHAPES = re.compile(
    r"(?<!\d)\d{6,20}:[\w-]{30,100}"  # a bot's token
    r"|(?<=://)[^\s/@]{1,300}(?=@)|(?<=://)[^\s@/:]{0,100}:[^\s@]{1,200}(?=@)"  # name and password in an address
    r"|(?<=/api/webhooks/)[^\s\"'?#]{1,200}|(?<=hooks\.slack\.com/services/)[^\s\"'?#]{1,200}"
    r"|(?<![\w-])(?:sk|rk|pk)-[\w-]{5,300}"
    r"|(?<!\w)(?:[sr]k_live_|gh[opsur]_|github_pat_|glpat-|hf_|xox[a-z]-|AKIA|AIza|ya29\.)[\w.-]{12,300}"
    r"|(?<!\w)agentd_[\w-]{40,300}"  # one of agentd's own
    r"|(?<!\w)eyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{0,1000}"  # a JSON web token
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,1000}|(?<=[Bb]asic )[\w.~+/=-]{16,1000}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*"
)
_QUERY = re.compile(r"(?<=[?&;])([\w.-]{1,60})=([^\s&;#\"'<>]{1,1000})")


def is_secret_name(name: str) -> bool:
    """Whether this name (of a key, a variable or a parameter) is likely to be that of a secret."""
    spelt = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", spelt.lower())
    return bool(_WORDS.search(plain) or _PARTS.search(plain))


def looks_random(text: str) -> bool:
    """Whether a text is long and consists of letters and digits alone, like generated secrets."""
    return _RANDOM.fullmatch(text) is not None


def masked(text: str) -> str:
    """The text with every noted secret, and everything that has the shape of one, hidden."""
    for secret in _noted:
        text = text.replace(secret, MASK)
    text = _SHAPES.sub(MASK, text)
    return _QUERY.sub(lambda found: f"{found[1]}={MASK}" if is_secret_name(found[1]) else found[0], text)


def note(secret: str) -> None:
    """Hide this from now on."""
    if len(secret) >= SHORTEST:
        _noted.add(secret)


def cleaned(secret: str, name: str = "") -> str:
    """The secret without blanks and line ends around it; `ValueError` if no HTTP header can carry the rest.

    The error says nothing about the secret, not even how long it is. A password need not be ASCII, because no header
    carries it as it is.
    """
    text = secret.strip().strip("\ufeff").strip()
    if "\n" in text or "\r" in text:
        raise ValueError("has more than one line; copy it again, alone and as one line")
    wide = _PASSWORD.search(name.lower()) is not None
    for n, character in enumerate(text, start=1):
        if not character.isprintable() or not (wide or character.isascii()):
            raise ValueError(f"has a character at place {n} that no HTTP header can carry; copy it again, alone")
    return text
