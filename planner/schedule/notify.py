"""Telling people and programs what a cycle decided: a signed webhook, and e-mail.

Everything that is secret or leads somewhere comes from the environment, never from the command
line, and is never logged:

    PLANNER_WEBHOOK_URL, PLANNER_WEBHOOK_SECRET
    PLANNER_SMTP_HOST, PLANNER_SMTP_PORT, PLANNER_SMTP_SECURITY (starttls, tls or none),
    PLANNER_SMTP_USER, PLANNER_SMTP_PASSWORD, PLANNER_MAIL_FROM, PLANNER_MAIL_TO

The webhook follows the Standard Webhooks specification (standardwebhooks.com): headers
``webhook-id``, ``webhook-timestamp`` and ``webhook-signature: v1,`` base64 of HMAC-SHA256 over
``id.timestamp.body``; libraries that verify it exist for most languages. What could not be
delivered is tried again with the next cycles (at least once, never silently dropped).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import http.client
import json
import random
import smtplib
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Protocol

from planner.errors import PlannerError
from planner.history.history import History
from planner.history.records import RunView
from planner.history.schedules import record_delivery, undelivered
from planner.logs import EventLog

SECRET_PREFIX = "whsec_"
LEAST_SECRET_BYTES = 24
TIMEOUT_S = 10.0
TRIES = 3
"""Of one delivery at once."""
FIRST_PAUSE_S = 1.0
"""Before the second try; four times as long before the third."""
MOST_DELIVERIES = 10
"""Recorded failures after which a run is given up."""
NEWS_FOR = dt.timedelta(days=7)
"""How long a run is worth telling of."""
WORTH_TELLING = {
    "changes": ("move", "stopped", "failed"),
    "always": ("keep", "move", "undecided", "stopped", "failed"),
}
SECURITIES = ("starttls", "tls", "none")


class DeliveryError(Exception):
    """Could not be delivered; `again` says whether another try at once makes sense."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Channel(Protocol):
    """A way to tell somebody."""

    @property
    def name(self) -> str:
        """Under which deliveries are recorded."""

    def send(self, view: RunView) -> None:
        """Deliver the news of a run; DeliveryError where it fails."""


# ------------------------------------------------------------------ webhook


@dataclass(frozen=True)
class Webhook:
    """A URL that is sent every message, signed."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    name: str = "webhook"

    def send(self, view: RunView) -> None:
        """POST the message; any answer but 2xx is a failure."""
        body = json.dumps(message(view)).encode()
        sent_s = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "fleet-planner",
            "webhook-id": view.run.id,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": signature(self.key, view.run.id, sent_s, body),
        }
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            again = error.code >= 500 or error.code in (408, 425, 429)
            raise DeliveryError(f"answered {error.code}", again=again) from error
        except http.client.InvalidURL as error:  # its words repeat the URL, which may be secret
            raise DeliveryError("the URL is malformed", again=False) from error
        except (OSError, http.client.HTTPException) as error:
            told = getattr(error, "reason", None) or error
            raise DeliveryError(f"no answer: {told}", again=True) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed message goes where it was addressed, nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


def signature(key: bytes, message_id: str, sent_s: int, body: bytes) -> str:
    """``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body`` (Standard Webhooks)."""
    signed = f"{message_id}.{sent_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def webhook_key(secret: str) -> bytes:
    """Key bytes of ``whsec_<base64>`` or of bare base64; PlannerError where short or malformed."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise PlannerError("PLANNER_WEBHOOK_SECRET: write whsec_ and base64") from error
    if len(key) < LEAST_SECRET_BYTES:
        raise PlannerError(
            f"PLANNER_WEBHOOK_SECRET has {len(key)} bytes, at least {LEAST_SECRET_BYTES} are "
            "needed: echo whsec_$(openssl rand -base64 32)"
        )
    return key


# ------------------------------------------------------------------ e-mail


@dataclass(frozen=True)
class Mail:
    """People who are sent every message."""

    host: str
    port: int
    security: str
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    name: str = "e-mail"

    def send(self, view: RunView) -> None:
        """Hand the message to the server; a refused recipient is a failure."""
        mail = EmailMessage()
        mail["Subject"] = f"[planner] {view.run.instance}: {headline(view)}"
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{view.run.id}@planner.invalid>"
        mail.set_content(text(view))
        try:
            with self._connected() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            told = _plain(error.smtp_error)
            again = 400 <= error.smtp_code < 500
            raise DeliveryError(f"answered {error.smtp_code} {told}", again=again) from error
        except smtplib.SMTPException as error:
            raise DeliveryError(f"refused: {error}", again=False) from error
        except OSError as error:
            raise DeliveryError(f"no answer: {error}", again=True) from error
        if refused:
            raise DeliveryError(f"refused for {', '.join(refused)}", again=False)

    def _connected(self) -> smtplib.SMTP:
        server: smtplib.SMTP
        context = ssl.create_default_context()
        if self.security == "tls":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password or "")
        except BaseException:
            server.close()
            raise
        return server


def _plain(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer


# ------------------------------------------------------------------ words


def headline(view: RunView) -> str:
    """What happened, in a few words."""
    assert view.decision is not None
    return {
        "keep": "the plan in force is kept",
        "move": "a change is proposed",
        "undecided": "undecided",
        "stopped": "stopped, a person must look",
        "failed": "a cycle failed",
    }[view.decision.decision]


def message(view: RunView) -> dict[str, Any]:
    """The webhook's body."""
    decision = view.decision
    assert decision is not None
    regret = decision.regret
    return {
        "type": f"planner.cycle.{decision.decision}",
        "timestamp": view.run.finished_at.isoformat(),
        "data": {
            "run_id": view.run.id,
            "instance": view.run.instance,
            "schedule": decision.schedule,
            "due_at": decision.due_at.isoformat(),
            "decision": decision.decision,
            "reason": decision.reason,
            "exit_code": view.run.exit_code,
            "awaiting_approval": view.state == "awaiting approval",
            "incumbent_run_id": decision.incumbent_run_id,
            "regret": None
            if regret is None
            else {"low": regret.low, "high": regret.high, "unit": regret.unit},
            "cost_usd": None if view.plan is None else view.plan.cost_usd,
            "carbon_kgco2e": None if view.plan is None else view.plan.carbon_kgco2e,
            "qoe": None if view.plan is None else view.plan.qoe,
        },
    }


def text(view: RunView) -> str:
    """The e-mail's body."""
    decision = view.decision
    assert decision is not None
    lines = [f"{view.run.instance}: {headline(view)}", "", decision.reason, ""]
    if view.state == "awaiting approval":
        lines += [
            "Nothing is applied by itself. To decide:",
            f"  planner approve {view.run.id} --by NAME",
            f"  planner approve {view.run.id} --by NAME --reject --reason TEXT",
            "",
        ]
    if decision.diff:
        lines += [decision.diff]
    due = decision.due_at.strftime("%Y-%m-%d %H:%M UTC")
    lines.append(f"run {view.run.id}, schedule {decision.schedule}, due {due}")
    return "\n".join(lines)


# ------------------------------------------------------------------ configuration and delivery


def channels(environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """The channels that the environment configures; PlannerError where it is half done."""
    found: list[Channel] = []
    url = environment.get("PLANNER_WEBHOOK_URL")
    if url:
        secret = environment.get("PLANNER_WEBHOOK_SECRET")
        if not secret:
            raise PlannerError("PLANNER_WEBHOOK_URL needs PLANNER_WEBHOOK_SECRET to sign with")
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise PlannerError("PLANNER_WEBHOOK_URL: a URL that begins with https:// or http://")
        found.append(Webhook(url, webhook_key(secret)))
    if environment.get("PLANNER_SMTP_HOST"):
        found.append(_mail(environment))
    return tuple(found)


def _mail(environment: Mapping[str, str]) -> Mail:
    security = environment.get("PLANNER_SMTP_SECURITY", "starttls")
    if security not in SECURITIES:
        raise PlannerError(f"PLANNER_SMTP_SECURITY {security!r}: one of {', '.join(SECURITIES)}")
    usual = {"starttls": "587", "tls": "465", "none": "25"}[security]
    port = environment.get("PLANNER_SMTP_PORT", usual)
    recipients = [a.strip() for a in environment.get("PLANNER_MAIL_TO", "").split(",") if a.strip()]
    sender = environment.get("PLANNER_MAIL_FROM", "")
    user = environment.get("PLANNER_SMTP_USER") or None
    if not (port.isascii() and port.isdigit()):
        raise PlannerError(f"PLANNER_SMTP_PORT {port!r}: a number")
    if not recipients or not sender:
        raise PlannerError("PLANNER_SMTP_HOST needs PLANNER_MAIL_FROM and PLANNER_MAIL_TO")
    if user and security == "none":
        raise PlannerError("PLANNER_SMTP_USER with security none would send the password in clear")
    password = environment.get("PLANNER_SMTP_PASSWORD")
    host = environment["PLANNER_SMTP_HOST"]
    return Mail(host, int(port), security, sender, tuple(recipients), user, password)


def deliver(
    history: History,
    schedule: str,
    to: tuple[Channel, ...],
    worth: str,
    since: dt.datetime,
    log: EventLog,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Tell every channel what it has not heard yet; what fails is recorded, never raised.

    Only runs that ended after `since`: a channel set up today does not hear of last year.
    """
    for channel in to:
        wanted = WORTH_TELLING[worth]
        runs = undelivered(history, schedule, channel.name, wanted, since, MOST_DELIVERIES)
        for run_id in runs:
            problem = _tried(channel, history.run(run_id), sleep)
            detail = problem or "delivered"
            record_delivery(history, run_id, channel.name, delivered=problem is None, detail=detail)
            log.add("notified", run=run_id, channel=channel.name, result=detail)
            if problem is not None:
                break  # the channel is down: the rest waits for the next cycle


def _tried(channel: Channel, view: RunView, sleep: Callable[[float], None]) -> str | None:
    """None once delivered, else what went wrong last."""
    problem = None
    for attempt in range(TRIES):
        try:
            channel.send(view)
        except DeliveryError as error:
            problem = str(error)
            if not error.again:
                break
            if attempt < TRIES - 1:
                sleep(FIRST_PAUSE_S * 4**attempt * random.uniform(0.5, 1.0))
        else:
            return None
    return problem
