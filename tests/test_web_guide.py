"""What docs/web-page.md shows is taken as it is typed: commands by the programs, configurations by nginx and Caddy."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from textwrap import dedent

import pytest
from reverse_proxy import authority, elsewhere, first_of_stream
from waiting import wait_for
from web_page import opened, result, shown, told

from edge.cli.run_model import build_parser
from edge.regions import read_regions
from edge.sinks.web.address import Address, parse_address

GUIDE = (Path(__file__).parents[1] / "docs" / "web-page.md").read_text()
NAME = "cars.example.org"


def test_commands_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shown_lines = re.findall(r"^    (\S.*)$", GUIDE, re.MULTILINE)
    make_token = next(line for line in shown_lines if line.endswith("> ~/roadlite.token)"))
    subprocess.run(make_token, shell=True, check=True)
    assert (tmp_path / "roadlite.token").stat().st_mode & 0o077 == 0
    commands = [shlex.split(line) for line in shown_lines if line.startswith("run-model")]
    outputs = [output for words in commands for output in build_parser().parse_args(words[1:]).output]
    read = [parse_address(os.path.expandvars(output)) for output in outputs if output.startswith("web")]
    assert any(address.token for address in read)
    assert any(str(address.public_url) == f"https://{NAME}/pi/" for address in read)
    assert Address().notice.partition("ssh -L ")[2].split()[0] in GUIDE, "the tunnel is the one that run-model prints"


def test_a_region_is_sent_as_the_guide_says(tmp_path: Path) -> None:
    sent = re.search(r"^    (curl .*/regions \\\n.*)$", GUIDE, re.MULTILINE)
    removal = re.search(r"^    (curl -X DELETE .*/regions.*)$", GUIDE, re.MULTILINE)
    assert sent is not None
    assert removal is not None
    with closing(opened(regions_file=tmp_path / "regions.json")) as sink:
        command = sent[1].replace("localhost:8080", f"localhost:{sink.address.port}").replace("curl", "curl -sf", 1)
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
        assert set(read_regions(tmp_path / "regions.json").regions) == {"left"}
        removed = removal[1].replace("localhost:8080", f"localhost:{sink.address.port}").replace("curl", "curl -sf", 1)
        subprocess.run(removed, shell=True, check=True, stdout=subprocess.DEVNULL)
    assert read_regions(tmp_path / "regions.json").regions == {}


def test_the_keys_are_those_of_the_page() -> None:
    there = re.findall(r"^  \['(.)', ", resources.files("edge.sinks.web").joinpath("keys.js").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| (`.`(?:, `.`)?) \|", GUIDE, re.MULTILINE)
    told = [key for row in rows for key in re.findall(r"`(.)`", row)]
    assert sorted([*told, " ", "?"]) == sorted(there)


def block(begin: str) -> str:
    """Returns a configuration from the guide, from the line that begins it to the one that ends it."""
    found = re.search(rf"^    {re.escape(begin)}.*?^    }}$", GUIDE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return dedent(found[0]) + "\n"


def nginx(folder: Path, port: int, behind: int) -> list[str]:
    site = block("server {").replace("listen 443", f"listen 127.0.0.1:{port}").replace(":8080/", f":{behind}/")
    certificate = authority().issue_cert(NAME)
    certificate.private_key_pem.write_to_path(folder / f"{NAME}.key")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(folder / f"{NAME}.pem", append=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    site = site.replace("/etc/ssl", str(folder))
    main = f"pid {folder}/pid;\ndaemon off;\nerror_log {folder}/log;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{paths}{site}}}\n")
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, behind: int) -> list[str]:
    site = block(f"{NAME} {{").replace(f"{NAME} {{", f"{NAME}:{port} {{\n\ttls {folder}/cert.pem {folder}/key.pem")
    certificate = authority().issue_cert(NAME)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(folder / "cert.pem", append=True)
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + site.replace(":8080", f":{behind}"))
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen([program, *command[1:]], stdout=said, stderr=said, env={**os.environ, **home})

    def listens() -> bool:
        assert process.poll() is None, (folder / "said").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    try:
        wait_for(listens)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_a_proxy_set_up_by_the_guide_shows_the_page(proxy: type, tmp_path: Path) -> None:
    name = proxy.__name__
    if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs {name}, which is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    page = f"https://{NAME}:{port}/pi/"

    async def look() -> None:
        async with elsewhere() as session:
            async with session.get(f"{page.rstrip('/')}?token=s3cret-word") as answer:
                assert (answer.status, str(answer.url)) == (200, f"{page}?token=s3cret-word")
            async with session.ws_connect(f"{page}ws?token=s3cret-word", origin=page.removesuffix("/pi/")) as viewer:
                await told(viewer, "hello")
                assert (await shown(viewer))[0]["index"] == 0
            assert b"image/jpeg" in await first_of_stream(session, f"{page}stream.mjpg?token=s3cret-word")

    with closing(opened(f"web://127.0.0.1:0?public-url={page}&token=s3cret-word")) as sink:
        sink.write(result(0))
        with running(proxy(tmp_path, port, sink.address.port), tmp_path, port):
            asyncio.run(asyncio.wait_for(look(), 60))
