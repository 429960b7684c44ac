"""Which proxy the environment names, and what is asked without one."""

from __future__ import annotations

import pytest

from agentd.host.proxies import is_this_machine, proxy_for

PROXIES = {"http_proxy": "http://one:1", "https_proxy": "http://two:2"}


@pytest.mark.parametrize(
    ("scheme", "environment", "proxy"),
    [
        ("http", {}, ""),
        ("http", PROXIES, "http://one:1"),
        ("https", PROXIES, "http://two:2"),
        ("https", {"HTTPS_PROXY": "two:2"}, "http://two:2"),
        ("https", {"all_proxy": "socks5://three:3", "http_proxy": "one:1"}, "socks5://three:3"),
        ("http", {"ALL_PROXY": " http://three:3 ", "http_proxy": ""}, "http://three:3"),
    ],
)
def test_a_proxy_is_named_by_scheme_or_for_all(scheme: str, environment: dict[str, str], proxy: str) -> None:
    assert proxy_for(scheme, "example.org", environment) == proxy


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "0.0.0.0"],
)
def test_what_is_on_this_machine_is_asked_directly(host: str) -> None:
    assert is_this_machine(host) and proxy_for("http", host, PROXIES) == ""


@pytest.mark.parametrize("host", ["", "localhost.example.org", "10.0.0.1", "128.0.0.1", "2001:db8::1", "notlocalhost"])
def test_no_other_host_is_this_machine(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize(
    ("names", "host", "direct"),
    [
        ("*", "example.org", True),
        ("example.org", "example.org", True),
        ("example.org", "api.Example.org.", True),
        (".example.org", "api.example.org", True),
        ("*.example.org", "api.example.org", True),
        ("example.org", "badexample.org", False),
        ("a, ,10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[2001:db8::]/32", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        (",,", "example.org", False),
    ],
)
def test_exceptions_are_names_domains_and_networks(names: str, host: str, direct: bool) -> None:
    assert (proxy_for("http", host, {**PROXIES, "no_proxy": names}) == "") == direct
