"""Publishes events by MQTT, so that Home Assistant and others know of them."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import parse_qsl

from edge.address import Address, parse_address, public
from edge.data import Result
from edge.errors import SinkError, UsageError
from edge.events.event import Event, Receiver
from edge.events.rule import Rule, slug
from edge.requirements import install
from edge.versions import installed

# User and password stand apart from the address: within it, they would be taken out of any message.
HOW = (
    "mqtt://HOST[:PORT][/TOPIC], with USER:PASSWORD@ before HOST where the broker wants them; mqtts:// encrypts, and "
    "?ca=FILE at its end names the certificate of an authority of one's own"
)
_PORTS = {"mqtt": 1883, "mqtts": 8883}
SCHEMES = tuple(_PORTS)
MOST_WAITING = 1000  # events while the broker is away: a few hundred kilobytes
_DISCOVERY = "homeassistant"  # where Home Assistant looks, unless it is told otherwise
_CONNECT_S, _KEEPALIVE_S, _LONGEST_RETRY_S = 3.0, 20, 30
_LAST_S, _LAST_AWAY_S = 1.0, 0.2  # what the broker gets at the end to acknowledge what is on its way
_AT_MOST_ONCE, _AT_LEAST_ONCE = 0, 1
_CREDENTIALS = ("Bad user name or password", "Not authorized")


def parse_mqtt(text: str) -> Address:
    """Returns the address of a broker, in whose path is the topic. Raises UsageError."""
    address = parse_address(text)
    topic, query = topic_of(address), address.rest.partition("?")[2]
    asks_more = "?" in address.rest and (address.scheme != "mqtts" or not query.startswith("ca=") or not _ca(address))
    if address.scheme not in _PORTS or not address.host or asks_more or "+" in topic or "#" in text.rpartition("@")[2]:
        raise UsageError(f"events {public(text)!r}: expected {HOW}")
    return address


def topic_of(address: Address) -> str:
    """Returns what all topics begin with: the path, or `roadlite/` and the name of this machine."""
    return address.rest.partition("?")[0].strip("/") or f"roadlite/{slug(socket.gethostname()) or 'device'}"


def _ca(address: Address) -> str | None:
    """The file with the certificate that the broker's is to be signed with; None for those that the system trusts."""
    options = parse_qsl(address.rest.partition("?")[2])
    return options[0][1] if len(options) == 1 else None


class MqttEvents(Receiver):
    """Publishes each event to `TOPIC/RULE/event` as JSON, whether the rule is met, ON or OFF, to `TOPIC/RULE/state`,
    and `online` or `offline` to `TOPIC/availability`; the last two are retained. Home Assistant is told of a binary
    sensor for each rule.

    The broker may be away, at the start too. Events wait for it in memory, the first 1000; it acknowledges each, so
    that it may get one twice but loses none. `say` is told when it goes, comes, or refuses, and what was not delivered.

    With mqtts:// all is encrypted, and the broker must have a certificate for its name that the system trusts, or that
    is signed with the one of `?ca=FILE`.

    Raises SinkError where paho-mqtt is missing or FILE holds no certificate, UsageError for an address that makes no
    sense.
    """

    def __init__(self, text: str, rules: Sequence[Rule], say: Callable[[str], None]) -> None:
        address = parse_mqtt(text)
        try:
            from paho.mqtt import client as paho
        except ImportError as exc:
            raise SinkError(f"{address.shown}: needs paho-mqtt: {install('paho-mqtt')}") from exc
        self._name, self._topic, self._rules, self._say = address.shown, topic_of(address), tuple(rules), say
        self._states = {rule.slug: "OFF" for rule in rules}
        self._waiting: set[int] = set()  # numbers of events that are not acknowledged
        self._acknowledged: SimpleQueue[int] = SimpleQueue()
        self._lost, self._told, self._closed = 0, "", False
        client = self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.scheme == "mqtts":
            try:
                client.tls_set(_ca(address))
            except OSError as exc:  # those of TLS are, too
                no_certificate = f"certificate {_ca(address)!r} cannot be read ({exc.strerror or exc})"
                raise SinkError(f"{address.shown}: {no_certificate}") from exc
        client.will_set(f"{self._topic}/availability", "offline", _AT_LEAST_ONCE, retain=True)
        client.max_queued_messages_set(0)  # `take` has the limit: what is no event always goes
        client.reconnect_delay_set(1, _LONGEST_RETRY_S)
        client.connect_timeout = _CONNECT_S
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = lambda *_: self._away(_unreachable(sys.exception()))
        client.on_publish = lambda _client, _data, number, *_: self._acknowledged.put(number)
        client.connect_async(address.host, address.port or _PORTS[address.scheme], _KEEPALIVE_S)
        client.loop_start()

    def take(self, event: Event, slug: str, result: Result) -> None:
        self._states[slug] = "ON" if event.state == "begun" else "OFF"
        if self._count() < MOST_WAITING:
            self._waiting.add(self._client.publish(f"{self._topic}/{slug}/event", event.as_json(), _AT_LEAST_ONCE).mid)
        else:
            self._lost += 1
            if self._lost == 1:
                self._say(f"{self._name}: {MOST_WAITING} messages wait for the broker; events from now on are lost")
        if self._client.is_connected():  # else it is told when it is back
            self._publish_state(slug)

    def close(self) -> None:
        """Gives the broker a moment to acknowledge what is on its way."""
        if self._closed:
            return
        self._closed = True
        here = self._client.is_connected()
        end_s = time.monotonic() + (_LAST_S if here else _LAST_AWAY_S)
        while self._count() and time.monotonic() < end_s:
            time.sleep(0.01)
        if here:
            last = self._publish(f"{self._topic}/availability", "offline")
            while not _is_done(last) and time.monotonic() < end_s:
                time.sleep(0.01)
        self._client.disconnect()
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)  # may be at a connection that hangs
        stopping.start()
        stopping.join(_LAST_S)
        if lost := self._count() + self._lost:
            self._say(f"{self._name}: {lost} events were not delivered")

    def _count(self) -> int:
        """How many events are not acknowledged."""
        while True:
            try:
                self._waiting.discard(self._acknowledged.get_nowait())
            except Empty:
                return len(self._waiting)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            said = str(reason)
            wrong = "wrong user or password, or none" if said in _CREDENTIALS else said
            self._away(f"refuses the connection ({wrong})")
            return
        if self._told:
            self._say(f"{self._name}: the broker is there; {len(self._waiting)} events go to it now")
            self._told = ""
        self._publish(f"{self._topic}/availability", "online")
        for rule in self._rules:
            self._publish(*self._discovery(rule))
            self._publish_state(rule.slug)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._away("has gone")

    def _away(self, how: str) -> None:
        if not (self._told or self._closed):
            self._told = how
            self._say(f"{self._name}: the broker {how}; events wait for it, {MOST_WAITING} at most")

    def _publish_state(self, slug: str) -> None:
        self._publish(f"{self._topic}/{slug}/state", self._states[slug])

    def _publish(self, topic: str, text: str) -> Any:
        """Publishes what the broker keeps. It goes before all events that wait, and needs no answer: where the
        connection breaks, the next one says it again, so that nothing of it piles up while connections fail.
        """
        return self._client.publish(topic, text, _AT_MOST_ONCE, retain=True)

    def _discovery(self, rule: Rule) -> tuple[str, str]:
        """Where and how Home Assistant is told of a rule, as its page on MQTT discovery of binary sensors has it."""
        device, topic = slug(self._topic), f"{self._topic}/{rule.slug}"
        config = {
            "name": rule.name,
            "unique_id": f"{device}-{rule.slug}",
            "state_topic": f"{topic}/state",
            "json_attributes_topic": f"{topic}/event",
            "availability_topic": f"{self._topic}/availability",
            "device": {
                "identifiers": [device],
                "name": self._topic,
                "manufacturer": "Roadlite",
                "sw_version": installed("roadlite") or "unknown",
            },
        }
        return f"{_DISCOVERY}/binary_sensor/{_plain(device)}/{_plain(rule.slug)}/config", json.dumps(config)


def _unreachable(exc: BaseException | None) -> str:
    """What is wrong where no connection comes about."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted here ({exc.verify_message.rstrip('.')})"
    if isinstance(exc, ssl.SSLError | ConnectionResetError):
        return "speaks no TLS that is understood here"
    return "cannot be reached"


def _plain(text: str) -> str:
    """A text as Home Assistant wants it in a topic: letters and numbers of ASCII, - and _."""
    return "".join(char if char.isascii() else f"_{ord(char):x}" for char in text)


def _is_done(sent: Any) -> bool:
    try:
        return bool(sent.is_published())
    except (RuntimeError, ValueError):  # it cannot be sent
        return True
