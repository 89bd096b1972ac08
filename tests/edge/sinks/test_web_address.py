from __future__ import annotations

import os
import re
import socket
import subprocess
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from web_page import opened

from edge.errors import SinkError, UsageError
from edge.sinks.web.address import Address, parse_address
from edge.sinks.web.public_url import parse_public_url


@pytest.mark.parametrize(
    ("spec", "host", "port", "token"),
    [
        ("web", "127.0.0.1", 8080, ""),
        ("web://", "127.0.0.1", 8080, ""),
        ("web://:9000", "127.0.0.1", 9000, ""),
        ("web://0.0.0.0", "0.0.0.0", 8080, ""),
        ("web://0.0.0.0:81/?token=a%26b45678", "0.0.0.0", 81, "a&b45678"),
        ("web://[::1]:82", "::1", 82, ""),
        ("web://Pi.local", "pi.local", 8080, ""),
    ],
)
def test_addresses(spec: str, host: str, port: int, token: str) -> None:
    assert parse_address(spec) == Address(host, port, token)


@pytest.mark.parametrize(
    "spec",
    [
        "web:",
        "web:8080",
        "web://host:port",
        "web://h:70000",
        "web://h/path",
        "web://u:p@h",
        "web://h?tok=s3cret",
        "web://h?token=",
        "web://h?token",
        "web://h#x",
        "web://h?token=s3cret-word&token-file=x",
        "web://h?token=s3cret-word&token=s3cret-word",
        "web://h?public-url=",
        "web://[::1",
    ],
)
def test_addresses_that_make_no_sense(spec: str) -> None:
    with pytest.raises(UsageError, match=r"expected web or web://HOST:PORT") as caught:
        opened(spec)
    assert "s3cret" not in str(caught.value)


def test_a_token_can_come_from_a_file(tmp_path: Path) -> None:
    for text in ("s3cret-word\n", "\ufeffs3cret-word\r\n"):  # as editors write it
        (tmp_path / "token").write_text(text)
        assert parse_address(f"web://0.0.0.0?token-file={tmp_path}/token").token == "s3cret-word"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "found 0; make one with python3 -c"),
        ("short", "expected a token of 8 to 1024 characters, found 7; make one with python3 -c"),
        ("lines", "without blanks"),
        ("binary", "cannot be read"),
        ("large", "at most 1024 bytes, found a larger file"),
        ("missing", "no such file; make one with python3 -c '.*' > .*missing"),
        ("folder", "regular file"),
        ("pipe", "regular file"),
        ("no%00name", "cannot be read"),
    ],
)
def test_files_that_hold_no_token(tmp_path: Path, name: str, says: str) -> None:
    for file, data in {
        "empty": b"\n",
        "short": b"s3cret7",
        "lines": b"s3cret-word\ns3cret-word",
        "binary": bytes(range(128, 255)),
        "large": b"s" * 1025,
    }.items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=f"^token-file={tmp_path}/.*: .*{says}") as caught:
        parse_address(f"web://0.0.0.0?token-file={tmp_path}/{name}")
    assert "s3cret" not in str(caught.value)


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 26)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="found a larger file"):
            parse_address(f"web://0.0.0.0?token-file={tmp_path}/large")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 22


def test_a_device_without_an_end_is_no_token_file() -> None:
    with pytest.raises(UsageError, match="token-file=/dev/zero: expected a regular file"):
        parse_address("web://0.0.0.0?token-file=/dev/zero")


def test_a_short_token_is_refused_with_a_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"output 'web://0\.0\.0\.0\?\.\.\.': .* 8 to .*found 7; ") as caught:
        parse_address("web://0.0.0.0?token=s3cret7")
    command = str(caught.value).partition("make one with ")[2]
    made = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    (tmp_path / "token").write_text(made)
    assert parse_address(f"web://0.0.0.0?token-file={tmp_path}/token").token == made.strip()


@pytest.mark.parametrize(
    ("text", "page", "origin", "websockets"),
    [
        ("https://cars.example.org", "https://cars.example.org/", "https://cars.example.org", "wss://cars.example.org"),
        ("https://Cars.Example.Org:443/pi", "https://cars.example.org/pi/", "https://cars.example.org", ""),
        ("http://cars:8000/a/b-c_d~e.f/", "http://cars:8000/a/b-c_d~e.f/", "http://cars:8000", "ws://cars:8000"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/", "http://[2001:db8::1]", "ws://[2001:db8::1]"),
        ("https://wägen.example/", "https://xn--wgen-loa.example/", "https://xn--wgen-loa.example", ""),
    ],
)
def test_public_addresses(text: str, page: str, origin: str, websockets: str) -> None:
    address = parse_address(f"web://127.0.0.1:9000?public-url={text}&token=s3cret-word")
    assert address.public_url is not None
    assert (str(address.public_url), address.public_url.origin) == (page, origin)
    assert websockets in ("", address.public_url.websockets)
    assert address.notice == f"watch at {page}?token=..."


@pytest.mark.parametrize(
    "text",
    [
        "cars.example.org",
        "//cars.example.org/",
        "/pi/",
        "ftp://cars.example.org/",
        "javascript:alert(1)",
        "https://",
        "https:///pi/",
        "https://user:s3cret@cars.example.org/",
        "https://cars.example.org:99999/",
        "https://cars.example.org:x/",
        "https://cars.example.org/pi/%3Ftoken=s3cret",
        "https://cars.example.org/%23s3cret",
        "https://cars.example.org/%0d%0aSet-Cookie:x",
        "https://cars.example.org/pi%0a",
        "https://cars.example.org%0d%0aX:y/",
        "https://cars.example.org/%250d%250aX:y",
        "https://cars.example.org/a b",
        "https://cars.example.org;script-src */",
        "https://cars.example.org,evil/",
        "https://*.example.org/",
        "https://cars.example.org/{other:.*}/",
        "https://cars.example.org//",
        "https://[::1/",
        "https://cars.example.org/%00",
        "https://cars.example.org/" + " x" * 300,
    ],
)
def test_public_addresses_that_make_no_sense(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"public-url=.*: expected .*such as https://cars\.example\.org/pi/$"
    ) as caught:
        parse_address(f"web://127.0.0.1?public-url={text}")
    said = str(caught.value)
    assert "s3cret" not in said
    assert said.isprintable()
    assert len(said) < 250


def test_the_user_is_told_where_to_look_and_who_else_can() -> None:
    assert re.match(
        r"watch at http://127\.0\.0\.1:8080/ \(from elsewhere: ssh -L 8080:localhost:8080 \S+, or `output` "
        r"'web://0\.0\.0\.0:8080\?token-file=FILE'\)$",
        Address().notice,
    )
    open_to_all = Address("0.0.0.0", 9000).notice
    assert re.match(
        r"watch at http://[^0][^ ]*:9000/ - warning: .*`output` 'web://0\.0\.0\.0:9000\?token-file=FILE'", open_to_all
    )
    assert re.match(r"watch at http://.*:9000/\?token=\.\.\.$", Address("0.0.0.0", 9000, "s3cret-word").notice)
    public = parse_public_url("https://cars.example.org/pi/")
    assert re.match(
        r"watch at https://cars\.example\.org/pi/ - warning: so can everybody else, unless the proxy ",
        Address(public_url=public).notice,
    )
    assert "everybody else in this network" in Address("0.0.0.0", public_url=public).notice
    assert Address("127.0.0.2").is_loopback
    assert Address("localhost").is_loopback
    assert not Address("::").is_loopback


def test_advice_for_ipv6_works_as_it_is_typed() -> None:
    notice = Address("::1", 9000).notice
    assert notice.startswith("watch at http://[::1]:9000/ (from elsewhere: ssh -L '9000:[::1]:9000' ")
    assert "-L 9000:127.0.0.2:9000 " in Address("127.0.0.2", 9000, "s3cret-word").notice
    everywhere = Address("::", 9000).notice
    for said in (notice, everywhere):
        spec = re.search(r"`output` '(web://\[::\]:9000\?token-file)=FILE'", said)
        assert spec is not None
        assert parse_address(spec[1].partition("?")[0]) == Address("::", 9000)


def test_ipv6_is_spelt_with_brackets_where_a_port_is_taken() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with closing(server) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=rf"^web://\[::1\]:{port}: .*such as web://\[::1\]:{port + 1}"):
            opened(f"web://[::1]:{port}")
