"""Events by MQTT, with a real mosquitto of the system's packages."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from event_frames import CLASSES, FILM, play
from waiting import wait_for

from edge.errors import SinkError, UsageError
from edge.events import mqtt
from edge.events.rule import parse_rules
from edge.events.watch import EventWatch
from edge.shares import Shares

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
RULES = parse_rules(["person > 10 % until 5 % for 0 s"], {})
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (apt install mosquitto)")
TOPICS = ("roadlite/test/#", "homeassistant/#")


@contextmanager
def broker(folder: Path, port: int, *lines: str) -> Iterator[None]:
    (folder / "mosquitto.conf").write_text("\n".join((f"listener {port} 127.0.0.1", *lines)) + "\n")
    assert MOSQUITTO is not None
    command = [MOSQUITTO, "-c", str(folder / "mosquitto.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def there(port: int) -> int:
    """A port, as soon as somebody listens: a broker opens its second one later."""
    wait_for(lambda: listens(port))
    return port


@pytest.fixture
def port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@contextmanager
def listening(port: int) -> Iterator[list[tuple[str, str, bool]]]:
    """What a subscriber gets: topics, texts, and whether they were retained."""
    paho = pytest.importorskip("paho.mqtt.client")
    got: list[tuple[str, str, bool]] = []
    ready: list[object] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, message: got.append((message.topic, message.payload.decode(), message.retain))
    client.on_subscribe = lambda *_: ready.append(1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe([(topic, 1) for topic in TOPICS])
    try:
        wait_for(lambda: bool(ready))
        yield got
    finally:
        client.disconnect()
        client.loop_stop()


def watching(port: int, say: Callable[[str], None], address: str = "mqtt://127.0.0.1:{}/roadlite/test") -> EventWatch:
    pytest.importorskip("paho.mqtt.client")
    receiver = mqtt.MqttEvents(address.format(port), RULES, say)
    return EventWatch(RULES, FILM, Shares(CLASSES, {}), {"mqtt": receiver}, say)


def events(got: list[tuple[str, str, bool]]) -> list[tuple[int, str]]:
    held = [json.loads(text) for topic, text, _ in got if topic == "roadlite/test/person/event"]
    return [(event["index"], event["state"]) for event in held]


@needs_broker
def test_home_assistant_finds_the_rule_and_follows_it(tmp_path: Path, port: int) -> None:
    with broker(tmp_path, port, "allow_anonymous true"), listening(port) as got:
        with closing(watching(port, lambda _: None)) as watch:
            wait_for(lambda: ("roadlite/test/person/state", "OFF", False) in got)
            play(watch, 10, [range(3, 6)])
            wait_for(lambda: len(events(got)) == 2)
        wait_for(lambda: ("roadlite/test/availability", "offline", False) in got)
        with listening(port) as later:
            wait_for(lambda: len(later) == 3)
    assert events(got) == [(3, "begun"), (6, "ended")]
    states = [text for topic, text, _ in got if topic == "roadlite/test/person/state"]
    assert states == ["OFF", "ON", "OFF"]
    kept = {topic: text for topic, text, retained in later if retained}
    assert kept["roadlite/test/availability"] == "offline"
    config = json.loads(kept["homeassistant/binary_sensor/roadlite-test/person/config"])
    assert config["state_topic"] == "roadlite/test/person/state"
    assert config["availability_topic"] == "roadlite/test/availability"
    assert config["unique_id"] == "roadlite-test-person"
    assert config["device"]["identifiers"] == ["roadlite-test"]
    assert set(kept) == {
        "roadlite/test/availability",
        "roadlite/test/person/state",
        "homeassistant/binary_sensor/roadlite-test/person/config",
    }


@needs_broker
def test_nothing_is_lost_while_the_broker_is_away(tmp_path: Path, port: int) -> None:
    """It is not there at the start, then goes and comes back; each time events happen meanwhile."""
    said: list[str] = []
    place = "mqtt://127.0.0.1:"
    with closing(watching(port, said.append)) as watch:
        wait_for(lambda: any("cannot be reached; events wait for it, 1000 at most" in line for line in said))
        play(watch, 10, [range(2, 4), range(6, 8)])
        anybody = "allow_anonymous true"
        with broker(tmp_path, port, anybody), listening(port) as got:
            wait_for(lambda: len(set(events(got))) == 4)
            assert set(events(got)) == {(2, "begun"), (4, "ended"), (6, "begun"), (8, "ended")}
        wait_for(lambda: any("has gone" in line for line in said))
        play(watch, 5, [range(1, 5)])
        with broker(tmp_path, port, anybody), listening(port) as got:
            wait_for(lambda: (1, "begun") in events(got))
            wait_for(lambda: ("roadlite/test/person/state", "ON") in [one[:2] for one in got])
            watch.close()
            wait_for(lambda: (4, "ended") in events(got))
    told = [line for line in said if line.startswith(place)]
    assert ["there" in line for line in told] == [False, True, False, True], "once each"
    assert "4 events go to it now" in told[1]
    assert not any("not delivered" in line for line in told)


@needs_broker
def test_after_a_long_outage_all_that_home_assistant_needs_is_there(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than may wait; those that may arrive, and so does what says that it is there, and what is met."""
    monkeypatch.setattr(mqtt, "MOST_WAITING", 3)
    said: list[str] = []
    with closing(watching(port, said.append)) as watch:
        receiver = watch._receivers["mqtt"]
        assert isinstance(receiver, mqtt.MqttEvents)
        wait_for(lambda: any("cannot be reached" in line for line in said))
        play(watch, 12, [range(2, 4), range(6, 8), range(10, 12)])
        with broker(tmp_path, port, "allow_anonymous true"), listening(port) as got:
            wait_for(lambda: len(set(events(got))) == 3)
            wait_for(lambda: ("roadlite/test/availability", "online") in [one[:2] for one in got])
            wait_for(lambda: ("roadlite/test/person/state", "ON") in [one[:2] for one in got])
            assert any(topic == "homeassistant/binary_sensor/roadlite-test/person/config" for topic, *_ in got)
            wait_for(lambda: receiver._count() == 0)  # the broker has acknowledged them, too
            play(watch, 2, [])
            wait_for(lambda: len(set(events(got))) == 4)
            watch.close()
            wait_for(lambda: ("roadlite/test/availability", "offline") in [one[:2] for one in got])
    assert set(events(got)) == {(2, "begun"), (4, "ended"), (6, "begun"), (0, "ended")}, "the queue takes more again"
    assert said[-1].endswith("2 events were not delivered")


def test_connections_that_fail_again_and_again_pile_nothing_up(port: int) -> None:
    """A broker may accept whoever comes and go at once, for weeks."""
    paho = pytest.importorskip("paho.mqtt.client")
    said: list[str] = []
    with closing(socket.create_server(("127.0.0.1", port))) as server, closing(watching(port, said.append)) as watch:
        client = watch._receivers["mqtt"]._client  # type: ignore[attr-defined]
        assert isinstance(client, paho.Client)
        for _ in range(2):
            connection, _address = server.accept()
            with closing(connection):
                connection.recv(1000)
                connection.sendall(b"\x20\x02\x00\x00")  # CONNACK
                connection.recv(1000)
        wait_for(lambda: sum("has gone" in line for line in said) == 2)
        assert len(client._out_messages) == 0


@needs_broker
def test_a_wrong_password_is_said_and_never_shown(tmp_path: Path, port: int) -> None:
    pytest.importorskip("paho.mqtt.client")
    said: list[str] = []
    with broker(tmp_path, port, "allow_anonymous false"):
        receiver = mqtt.MqttEvents(f"mqtt://pi:s3cret@127.0.0.1:{port}/roadlite/test", RULES, said.append)
        with closing(EventWatch(RULES, FILM, Shares(CLASSES, {}), {"mqtt": receiver}, said.append)) as watch:
            wait_for(lambda: bool(said))
            play(watch, 2, [range(2)])
    assert "refuses the connection (wrong user or password, or none)" in said[0]
    assert said[-1].endswith("2 events were not delivered"), "begun, and ended with the run"
    assert "s3cret" not in " ".join(said)


def test_a_full_queue_is_said_and_the_end_comes_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "MOST_WAITING", 3)
    said: list[str] = []
    watch = watching(port, said.append)
    play(watch, 20, [range(start, start + 2) for start in range(0, 20, 4)])
    start_s = time.monotonic()
    watch.close()
    assert time.monotonic() - start_s < 2
    assert sum("3 messages wait for the broker; events from now on are lost" in line for line in said) == 1
    assert said[-1] == f"mqtt://127.0.0.1:{port}/roadlite/test: 10 events were not delivered"


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://",
        "mqtt://host/a/+/b",
        "mqtt://host/#x?y=1",
        "mqtt://host:0",
        "mqtt://host/x?ca=ca.pem",
        "mqtts://host/x?ca=",
        "mqtts://host/x?cafile=ca.pem",
        "mqtts://host/x?ca=ca.pem&ca=other.pem",
        "mqtts://host/x?",
        "mqttx://host",
    ],
)
def test_what_is_no_address_of_a_broker_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        mqtt.parse_mqtt(text)


def certificates(folder: Path, name: str = "IP:127.0.0.1") -> None:
    """Makes `ca.pem`, and with it `broker.pem` and `broker.key` for a name."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl (apt install openssl)")
    (folder / "names").write_text(f"subjectAltName={name}")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority",
        f"req {key} -keyout broker.key -out broker.csr -subj /CN=broker",
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out broker.pem",
    ):
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)


@needs_broker
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho drops one when TLS has failed
def test_mqtts_encrypts_and_speaks_only_to_a_broker_that_is_trusted(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates(tmp_path)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        plain = int(free.getsockname()[1])
    tls = [f"{kind}file {tmp_path}/{name}" for kind, name in (("cert", "broker.pem"), ("key", "broker.key"))]
    at, ca = "mqtts://127.0.0.1:{}/roadlite/test", f"?ca={tmp_path}/ca.pem"
    both = broker(tmp_path, port, *tls, f"listener {plain} 127.0.0.1", "allow_anonymous true", "user root")
    with both, listening(there(plain)) as got:
        said: list[str] = []
        with closing(watching(port, said.append, at)):
            wait_for(lambda: bool(said))
        assert said[0].startswith(f"mqtts://127.0.0.1:{port}/roadlite/test: the broker has a certificate that is not")
        said.clear()
        with closing(watching(plain, said.append, at + ca)):
            wait_for(lambda: bool(said))
        assert "the broker speaks no TLS that is understood here" in said[0]
        assert not got
        with closing(watching(port, said.append, at + ca)) as watch:
            wait_for(lambda: bool(got))  # it is there
            play(watch, 5, [range(2, 4)])
            wait_for(lambda: len(events(got)) == 2)
        monkeypatch.setenv("SSL_CERT_FILE", f"{tmp_path}/ca.pem")
        got_before = len(got)
        with closing(watching(port, said.append, at)) as watch:
            wait_for(lambda: len(got) > got_before)
            play(watch, 5, [range(1, 2)])
            wait_for(lambda: len(events(got)) == 4)
    assert events(got) == [(2, "begun"), (4, "ended"), (1, "begun"), (2, "ended")]


@needs_broker
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho drops one when TLS has failed
def test_a_broker_with_a_trusted_certificate_for_another_name_gets_nothing(tmp_path: Path, port: int) -> None:
    certificates(tmp_path, "DNS:other.example")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        plain = int(free.getsockname()[1])
    tls = [f"{kind}file {tmp_path}/{name}" for kind, name in (("cert", "broker.pem"), ("key", "broker.key"))]
    said: list[str] = []
    at = f"mqtts://127.0.0.1:{{}}/roadlite/test?ca={tmp_path}/ca.pem"
    both = broker(tmp_path, port, *tls, f"listener {plain} 127.0.0.1", "allow_anonymous true", "user root")
    with both, listening(there(plain)) as got:
        with closing(watching(port, said.append, at)) as watch:
            wait_for(lambda: bool(said) or bool(got))
            play(watch, 5, [range(2, 4)])
        assert "the broker has a certificate that is not trusted here (IP address mismatch" in said[0]
        assert said[-1].endswith("2 events were not delivered")
        assert not got


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client")
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("none.pem", "ca.pem"):
        with pytest.raises(SinkError, match=rf"certificate '.*{name}' cannot be read \("):
            mqtt.MqttEvents(f"mqtts://u:secret@host?ca={tmp_path}/{name}", RULES, print)


def test_topics_begin_with_the_path_or_the_name_of_the_machine() -> None:
    assert mqtt.topic_of(mqtt.parse_mqtt("mqtt://host/cars/one/")) == "cars/one"
    assert mqtt.topic_of(mqtt.parse_mqtt("mqtts://host/cars/one?ca=/etc/ca.pem")) == "cars/one"
    assert mqtt.topic_of(mqtt.parse_mqtt("mqtt://host")).startswith("roadlite/")


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(SinkError, match="needs paho-mqtt: pip install"):
        mqtt.MqttEvents("mqtt://u:secret@host", RULES, print)
