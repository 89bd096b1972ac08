"""What opens an address is shown nowhere, and an address means what it says."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.address import is_same_host, parse_address, public, without_users
from edge.errors import UsageError

HOSTS = st.sampled_from(["cam", "camera.local", "192.168.1.20", "[fe80::1]", "cam:554", "10.0.0.5:8080"])
SCHEMES = st.sampled_from(["rtsp", "http", "HTTPS", "rtmp"])
PATHS = st.sampled_from(["", "/", "/live", "/ch1/main?x=1", "?x=1", "#f", "/a?b=c#d"])
# A letter first: a number before a `/` would be a port, and what stands before it a host.
USERS = st.from_regex(r"Q[Q0-9%&=!$ ~^*()+,;'\[\]-]{0,6}", fullmatch=True)
WORDS = st.from_regex(r"Z[Z0-9/?#:%&=!$ ~^*()+,;'\[\]-]{2,12}", fullmatch=True)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:p%40ss@cam:554/ch1?token=x&b=2#f", "rtsp://cam:554/ch1?..."),
        ("http://host/video", "http://host/video"),
        ("rtsp://u:p@ss@[::1]:80/a", "rtsp://[::1]:80/a"),
        ("http://[broken", "http://[broken"),
        ("rtsp://u:pa/s?s#w@cam/1", "rtsp://cam/1"),
        ("rtsp://u:my pass@cam/1", "rtsp://cam/1"),
        ("see 'rtsp://u:p@cam/x?token=secret', or http://a@b.", "see 'rtsp://cam/x?...', or http://b."),
        ("no address: 5 @ 3 / 2 ? # x", "no address: 5 @ 3 / 2 ? # x"),
        ("--source=rtsp://u:my pa/ss@cam/1", "--source=rtsp://cam/1"),
        ("udp://@:5000", "udp://:5000"),
    ],
)
def test_addresses_are_shown_without_what_opens_them(address: str, shown: str) -> None:
    assert public(address) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://host/a@b", "http://host/a@b"),
        ("http://user@host/a@b", "http://host/a@b"),
        ("http://host/users?mail=a@b", "http://host/users?..."),
        ("http://host:8080/a@b", "http://host/...@b"),
        ("http://u:p@host/a@b", "http://b"),
        ("http://u:p@host/a?mail=a@b", "http://b"),
        ("rtsp://admin:12/34@cam/1", "rtsp://admin/...@cam/1"),
        ("rtsp://u:a/b@c/d@cam/1", "rtsp://cam/1"),
        ("rtsp://u:p@x/y@cam/1", "rtsp://cam/1"),
    ],
)
def test_an_at_sign_in_a_path_does_not_hide_the_host_nor_show_what_may_be_a_password(address: str, shown: str) -> None:
    assert public(address) == shown


@given(SCHEMES, USERS, WORDS, HOSTS, PATHS)
@example("rtsp", "Q", "Z/pass#word?", "cam", "/1")
def test_no_user_and_no_password_is_shown(scheme: str, user: str, password: str, host: str, path: str) -> None:
    address = f"{scheme}://{user}:{password}@{host}{path}"
    for shown in (public(address), public(f"--source={address}"), parse_address(address).shown):
        assert not {"Q", "Z"} & set(shown), "letters that only the user and the password have"
        assert host in shown
    parts = parse_address(address)
    assert parts.place == host
    assert parts.scheme == scheme.lower()


@given(SCHEMES, st.text(min_size=1), st.text(min_size=1), HOSTS)
def test_quoted_users_and_passwords_come_out_as_they_went_in(scheme: str, user: str, password: str, host: str) -> None:
    address = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}/x"
    parts = parse_address(address)
    assert (parts.user, parts.password, parts.place) == (user, password, host)
    again = parse_address(parts.url)
    assert (again.user, again.password, again.place) == (user, password, host)
    assert not parts.advice


@given(st.text(alphabet="ab:/?#@[]% .1", max_size=30))
def test_any_text_is_shown_or_refused_without_what_is_before_its_last_at_sign(text: str) -> None:
    shown = public(f"rtsp://Q:Z{text}@cam/1")
    assert "Q" not in shown or shown.startswith("rtsp://Q/...")
    assert "Z" not in shown


def test_an_address_that_was_understood_only_by_guessing_says_how_it_is_written() -> None:
    for odd in ("rtsp://u:pa#ss@cam/1", "rtsp://u:p@ss@cam/1", "rtsp://admin:12/34@cam/1"):
        assert "# as %23" in parse_address(odd).advice
    assert parse_address("rtsp://u:pa#ss@cam/1").url == "rtsp://u:pa%23ss@cam/1"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("rtsp://cam:abc/1", "PORT is a number"),
        ("rtsp://u:secret@cam:abc/1", "PORT is a number"),
        ("http://", "PORT is a number"),
        ("rtsp://cam:70000/1", "port from 1 to 65535"),
        ("rtsp://u:se/cret@c/d@cam/1", "cannot be told where its password ends"),
        ("cam", "expected an address"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_address(address)
    assert "cret" not in str(refused.value)


def test_the_last_line_of_defence_leaves_advice_as_it_is() -> None:
    assert without_users("https:/u:p@host/m.tflite: no such file") == "https://host/m.tflite: no such file"
    assert without_users("got 'rtsp://u:pa/ss@cam/1?x'") == "got 'rtsp://cam/1?...'"
    for advice in ("web://0.0.0.0?token=SECRET", "udp://@:5000", "write USER:PASSWORD@ before the host", "a/b@c"):
        assert without_users(advice) == advice


def test_hosts_are_the_same_however_they_are_written() -> None:
    assert is_same_host("CAM.local.", "cam.local")
    assert is_same_host("[::1]", "0:0::1")
    assert not is_same_host("127.0.0.1", "127.0.0.2")
    assert not is_same_host("cam", "cam.evil")
