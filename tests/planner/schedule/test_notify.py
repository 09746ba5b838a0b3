"""News go out signed, at least once, and never take a cycle down."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks
from aiosmtpd.controller import Controller
from sqlalchemy import text as sql

from planner.errors import PlannerError
from planner.history import History
from planner.logs import EventLog
from planner.schedule import notify
from planner.schedule.notify import Mail, Webhook, channels, deliver, webhook_key
from tests.planner import history_examples as examples

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """A webhook's other end: what it got, and what it answers next."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(state.answers.pop(0) if state.answers else 204)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/hook?key=topsecret"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def mailbox() -> Iterator[tuple[Mail, list[Any]]]:
    """A real SMTP server on loopback, and what it was handed."""
    messages: list[Any] = []

    class Handler:
        async def handle_RCPT(  # noqa: N802
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            if address.startswith("nobody"):
                return "550 no such person"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
            messages.append(envelope)
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield mail_to(controller.port, "ops@example.org", "cfo@example.org"), messages
    controller.stop()


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def mail_to(port: int, *recipients: str) -> Mail:
    return Mail("127.0.0.1", port, "none", "planner@example.org", recipients)


@pytest.fixture
def proposal(history: History) -> str:
    return history.record(examples.cycle_draft(), examples.decision()).id


def tell(history: History, *to: Any, worth: str = "changes") -> list[dict[str, Any]]:
    log = EventLog()
    deliver(history, "hand", to, worth, examples.BEGAN, log, sleep=lambda _: None)
    return log.events


# ------------------------------------------------------------------ webhook


def test_the_webhook_is_verified_by_the_standards_own_library(
    history: History, proposal: str, receiver: Receiver
) -> None:
    tell(history, Webhook(receiver.url, webhook_key(SECRET)))
    ((headers, body),) = receiver.got
    payload = standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert payload["type"] == "planner.cycle.move"
    assert payload["data"]["run_id"] == proposal == headers["webhook-id"]
    assert payload["data"]["regret"] == {"low": 10.0, "high": 12.0, "unit": "USD"}
    assert payload["data"]["awaiting_approval"] is True


def test_a_changed_message_or_another_secret_does_not_verify(
    history: History, proposal: str, receiver: Receiver
) -> None:
    tell(history, Webhook(receiver.url, webhook_key(SECRET)))
    ((headers, body),) = receiver.got
    for secret, content in ((SECRET, body.replace(b"move", b"keep")), ("whsec_" + "A" * 32, body)):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(secret).verify(content, headers)


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of the specification's reference implementation."""
    body = b'{"test": 2432232314}'
    made = notify.signature(webhook_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("answers", "requests", "result"),
    [
        ([500, 503, 200], 3, "delivered"),
        ([429, 204], 2, "delivered"),
        ([500] * 9, 3, "answered 500"),
        ([400], 1, "answered 400"),
        ([302, 200], 1, "answered 302"),
    ],
)
def test_a_webhook_is_tried_again_where_that_makes_sense(
    history: History,
    proposal: str,
    receiver: Receiver,
    answers: list[int],
    requests: int,
    result: str,
) -> None:
    receiver.answers = list(answers)
    receiver.headers = {"location": receiver.url}
    (event,) = tell(history, Webhook(receiver.url, webhook_key(SECRET)))
    assert len(receiver.got) == requests
    assert event["result"] == result


def test_what_was_delivered_is_not_sent_again(
    history: History, proposal: str, receiver: Receiver
) -> None:
    for _ in range(3):
        tell(history, Webhook(receiver.url, webhook_key(SECRET)))
    assert len(receiver.got) == 1


def test_a_channel_set_up_today_does_not_hear_of_last_year(
    history: History, proposal: str, receiver: Receiver
) -> None:
    hook = Webhook(receiver.url, webhook_key(SECRET))
    since = examples.BEGAN + dt.timedelta(minutes=1)
    deliver(history, "hand", (hook,), "always", since, EventLog())
    assert receiver.got == []


def test_what_failed_is_sent_with_the_next_cycle(
    history: History, proposal: str, receiver: Receiver
) -> None:
    receiver.answers = [500] * 3
    hook = Webhook(receiver.url, webhook_key(SECRET))
    tell(history, hook)
    tell(history, hook)
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert ids == [proposal] * 4


def test_a_channel_that_stays_away_is_given_up_in_the_end(
    history: History, proposal: str, receiver: Receiver
) -> None:
    receiver.answers = [404] * 100
    for _ in range(15):
        tell(history, Webhook(receiver.url, webhook_key(SECRET)))
    assert len(receiver.got) == notify.MOST_DELIVERIES


def test_nobody_listening_is_recorded_and_no_error(history: History, proposal: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/topsecret"
    (event,) = tell(history, Webhook(url, webhook_key(SECRET)))
    assert "no answer" in event["result"]
    assert "refused" in event["result"]


def test_secrets_are_nowhere_to_be_seen(
    history: History, proposal: str, receiver: Receiver
) -> None:
    hook = Webhook(receiver.url, webhook_key(SECRET))
    receiver.answers = [500] * 9
    events = tell(history, hook, Webhook("http://127.0.0.1:1/a b?topsecret", hook.key))
    with history.store.reading() as connection:
        stored = connection.execute(sql("SELECT detail FROM deliveries")).scalars().all()
    text = f"{hook!r} {events} {stored}"
    assert "malformed" in text
    assert "topsecret" not in text
    assert SECRET[6:] not in text


@pytest.mark.parametrize(
    ("worth", "told"),
    [("changes", ["move", "stopped", "failed"]),
     ("always", ["keep", "move", "undecided", "stopped", "failed"])],
)  # fmt: skip
def test_keeping_is_quiet_unless_asked_for(
    history: History, receiver: Receiver, worth: str, told: list[str]
) -> None:
    kinds: Any = ("keep", "move", "undecided", "stopped", "failed")
    for hour, kind in enumerate(kinds):
        history.record(examples.cycle_draft(), examples.decision(kind, hour))
    tell(history, Webhook(receiver.url, webhook_key(SECRET)), worth=worth)
    assert [json.loads(body)["data"]["decision"] for _, body in receiver.got] == told


# ------------------------------------------------------------------ e-mail


def test_people_are_told_by_mail_what_to_do(
    history: History, proposal: str, mailbox: tuple[Mail, list[Any]]
) -> None:
    mail, messages = mailbox
    (event,) = tell(history, mail)
    assert event["result"] == "delivered"
    (envelope,) = messages
    assert envelope.rcpt_tos == ["ops@example.org", "cfo@example.org"]
    content = envelope.content.decode()
    assert "Subject: [planner] hand: a change is proposed" in content
    assert "because of move" in content
    assert f"planner approve {proposal} --by NAME" in content
    assert f"Message-ID: <{proposal}@planner.invalid>" in content


def test_a_refused_person_is_recorded(
    history: History, proposal: str, mailbox: tuple[Mail, list[Any]]
) -> None:
    mail, messages = mailbox
    (event,) = tell(history, mail_to(mail.port, "ops@example.org", "nobody@example.org"))
    assert event["result"] == "refused for nobody@example.org"
    assert len(messages) == 1


def test_a_mail_server_without_tls_is_not_given_mail_that_asks_for_it(
    history: History, proposal: str, mailbox: tuple[Mail, list[Any]]
) -> None:
    mail, messages = mailbox
    asked = Mail(mail.host, mail.port, "starttls", mail.sender, mail.recipients)
    (event,) = tell(history, asked)
    assert "refused" in event["result"]
    assert messages == []


def test_one_channel_down_does_not_keep_the_other_from_hearing(
    history: History, proposal: str, receiver: Receiver
) -> None:
    events = tell(
        history, mail_to(free_port(), "ops@example.org"), Webhook(receiver.url, webhook_key(SECRET))
    )
    assert [event["channel"] for event in events] == ["e-mail", "webhook"]
    assert events[1]["result"] == "delivered"


# ------------------------------------------------------------------ configuration


def test_channels_come_from_the_environment() -> None:
    assert channels({}) == ()
    hook, mail = channels(
        {
            "PLANNER_WEBHOOK_URL": "https://example.org/x",
            "PLANNER_WEBHOOK_SECRET": SECRET,
            "PLANNER_SMTP_HOST": "mail.example.org",
            "PLANNER_SMTP_USER": "planner",
            "PLANNER_SMTP_PASSWORD": "hidden-word",
            "PLANNER_MAIL_FROM": "planner@example.org",
            "PLANNER_MAIL_TO": "a@example.org, b@example.org",
        }
    )
    assert (hook.name, mail.name) == ("webhook", "e-mail")
    assert isinstance(mail, Mail)
    assert (mail.port, mail.security) == (587, "starttls")
    assert mail.recipients == ("a@example.org", "b@example.org")
    assert "hidden-word" not in repr(mail)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PLANNER_WEBHOOK_URL": "https://x"}, "needs PLANNER_WEBHOOK_SECRET"),
        ({"PLANNER_WEBHOOK_URL": "ftp://x", "PLANNER_WEBHOOK_SECRET": SECRET}, "https://"),
        ({"PLANNER_WEBHOOK_URL": "https://x", "PLANNER_WEBHOOK_SECRET": "whsec_!"}, "base64"),
        ({"PLANNER_WEBHOOK_URL": "https://x", "PLANNER_WEBHOOK_SECRET": "c2hvcnQ="}, "5 bytes"),
        ({"PLANNER_SMTP_HOST": "x"}, "PLANNER_MAIL_FROM"),
        ({"PLANNER_SMTP_HOST": "x", "PLANNER_SMTP_PORT": "mail"}, "a number"),
        ({"PLANNER_SMTP_HOST": "x", "PLANNER_SMTP_SECURITY": "hope"}, "one of starttls"),
        (
            {
                "PLANNER_SMTP_HOST": "x",
                "PLANNER_SMTP_SECURITY": "none",
                "PLANNER_SMTP_USER": "u",
                "PLANNER_MAIL_FROM": "a@b",
                "PLANNER_MAIL_TO": "a@b",
            },
            "in clear",
        ),
    ],
)
def test_half_a_configuration_is_told(environment: dict[str, str], told: str) -> None:
    with pytest.raises(PlannerError, match=told) as error:
        channels(environment)
    assert SECRET not in str(error.value)
