"""What is shown of an address on the web, and which addresses belong to one server."""

from __future__ import annotations

import pytest

from agentd.host.urls import beside, is_same_server, joined, shown


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://me:pw@host:1/v1", "http://host:1/v1"),
        ("https://host/v1?api-key=secret#x", "https://host/v1?…"),
        ("http://me:pw@[::1", "[::1"),
        ("http://ho\x1b[2Jst", "http://host"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, seen: str) -> None:
    assert shown(url) == seen


def test_a_path_is_put_below_an_address_and_before_its_query() -> None:
    assert beside("http://h/v1/", "/models") == beside("http://h/v1", "/models") == "http://h/v1/models"
    assert beside("http://h/x?api-version=2", "/chat") == "http://h/x/chat?api-version=2"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("http://Host:80/x", True),
        ("https://host/x", True),
        ("https://host:8443/", False),
        ("http://host:8080/", False),
        ("http://host.other/", False),
    ],
)
def test_a_server_is_the_same_if_only_its_encryption_differs(other: str, same: bool) -> None:
    assert is_same_server("http://host/", other) is same


def test_a_redirect_that_is_not_an_address_is_refused() -> None:
    assert joined("http://h/a/b", "../c") == "http://h/c"
    with pytest.raises(ValueError):
        joined("http://h/", "http://h:port/")
