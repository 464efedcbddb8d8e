"""Ways out of the program for an alert: webhook, Telegram, e-mail, the desktop.

They block, and are used in threads of their own only. What goes wrong is said without the
address, which may hold a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import cache
from http.client import HTTPException
from typing import Any, Protocol

import msgspec

from ..errors import Mt5dashError
from ..protocol.sanitise import clean
from .settings import AlertSettings, EmailSettings, TelegramSettings, WebhookSettings

TIMEOUT_S = 10.0
ANSWER_MAX = 4096
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotDelivered(Mt5dashError):
    """``again``: whether it may go better later; ``after``: seconds that the other side asks
    to wait."""

    def __init__(self, text: str, *, again: bool, after: float | None = None) -> None:
        super().__init__(text)
        self.again = again
        self.after = after


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it leaves: ``at`` in ISO 8601 UTC, ``event`` what it is about."""

    title: str
    text: str
    level: str
    kind: str
    at: str
    event: Mapping[str, Any] | None = None


class Channel(Protocol):
    """One way out."""

    name: str

    def send(self, message: Message) -> None:
        """Deliver, or raise :class:`NotDelivered`. May block for some ten seconds."""
        ...


def channels(settings: AlertSettings) -> list[Channel]:
    """The ways out that the settings name."""
    found: list[Channel] = []
    if settings.webhook.url.get_secret_value():
        found.append(Webhook(settings.webhook))
    if settings.telegram.token.get_secret_value():
        found.append(Telegram(settings.telegram))
    if settings.email.host:
        found.append(Email(settings.email))
    if settings.desktop:
        found.append(Desktop())
    return found


@cache
def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS only, through the proxy of the environment; redirects are errors."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def fetch(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """GET, or POST of ``body``: the beginning of the answer.

    Raises:
        NotDelivered: no connection, or an answer other than 2xx.
    """
    sent = {"User-Agent": "mt5dash", **(headers or {})}
    try:
        request = urllib.request.Request(url, data=body, headers=sent)
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            return bytes(answer.read(ANSWER_MAX))
    except urllib.error.HTTPError as error:
        with error:
            text = clean(error.read(ANSWER_MAX).decode("utf-8", "replace").strip(), 200)
        after = error.headers.get("Retry-After", "")
        raise NotDelivered(
            f"HTTP {error.code}" + (f": {text}" if text else ""),
            again=error.code in RETRY_STATUS,
            after=float(after) if after.isdigit() else None,
        ) from None
    except urllib.error.URLError as error:
        reason = error.reason
        certificate = isinstance(reason, ssl.SSLCertVerificationError)
        text = getattr(reason, "strerror", None) or str(reason)
        raise NotDelivered(f"no connection: {text}", again=not certificate) from None
    except (OSError, HTTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or type(error).__name__
        raise NotDelivered(f"no answer: {text}", again=not isinstance(error, ValueError)) from None


class Webhook:
    """POSTs ``{title, text, level, kind, at, event}``, signed when there is a key."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        body = msgspec.json.encode(message)
        headers = {"Content-Type": "application/json"}
        secret = self._settings.secret.get_secret_value()
        if secret:
            signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Mt5dash-Signature"] = f"sha256={signature}"
        fetch(self._settings.url.get_secret_value(), body, headers)


class Telegram:
    """``sendMessage`` of the Bot API."""

    name = "telegram"

    def __init__(self, settings: TelegramSettings) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        body = msgspec.json.encode(
            {
                "chat_id": self._settings.chat,
                "text": f"{message.title}\n{message.text}"[:4000],
                "disable_notification": message.level == "info",
            }
        )
        token = self._settings.token.get_secret_value()
        url = f"{self._settings.api.rstrip('/')}/bot{token}/sendMessage"
        fetch(url, body, {"Content-Type": "application/json"})


class Email:
    """One mail for each alert."""

    name = "e-mail"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        settings = self._settings
        mail = EmailMessage()
        first = message.text.splitlines()[0] if message.text else ""
        mail["Subject"] = clean(f"{message.title}: {first}", 150)
        mail["From"] = settings.sender
        mail["To"] = ", ".join(settings.to)
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain="mt5dash.invalid")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{message.text}\n\n{message.level}, {message.at}\n")
        try:
            with self._connect() as server:
                if settings.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if settings.user:
                    server.login(settings.user, settings.password.get_secret_value())
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered(f"refused for {', '.join(error.recipients)}", again=False) from None
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            again = 400 <= error.smtp_code < 500
            raise NotDelivered(f"SMTP {error.smtp_code}: {clean(text, 200)}", again=again) from None
        except (smtplib.SMTPException, OSError) as error:
            certificate = isinstance(error, ssl.SSLCertVerificationError)
            raise NotDelivered(
                f"no mail: {clean(str(error), 200)}", again=not certificate
            ) from None
        if refused:
            raise NotDelivered(f"refused for {', '.join(refused)}", again=False)

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.tls == "tls":
            return smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=TIMEOUT_S,
                context=ssl.create_default_context(),
            )  # fmt: skip
        return smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S)


_BALLOON = (
    "Add-Type -AssemblyName System.Windows.Forms,System.Drawing;"
    "$n=New-Object System.Windows.Forms.NotifyIcon;"
    "$n.Icon=[System.Drawing.SystemIcons]::Information;$n.Visible=$true;"
    "$n.ShowBalloonTip(9000,$env:MT5DASH_TITLE,$env:MT5DASH_TEXT,'Info');"
    "Start-Sleep 6;$n.Dispose()"
)


class Desktop:
    """The notification of this machine's desktop, by its own program."""

    name = "desktop"

    def send(self, message: Message) -> None:
        command, env = self.command(message)
        try:
            done = subprocess.run(
                command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotDelivered(f"{command[0]}: {type(error).__name__}", again=False) from None
        if done.returncode:
            text = clean(done.stderr.decode("utf-8", "replace").strip(), 200)
            raise NotDelivered(f"{command[0]} failed: {text}", again=True)

    @staticmethod
    def command(message: Message) -> tuple[list[str], dict[str, str] | None]:
        """The command line and its environment. Texts never become part of a script."""
        title, text = message.title, message.text
        if sys.platform == "win32":
            shell = ["powershell", "-NoProfile", "-NonInteractive", "-Command", _BALLOON]
            return shell, {**os.environ, "MT5DASH_TITLE": title, "MT5DASH_TEXT": text}
        if sys.platform == "darwin":
            script = ("on run argv", "display notification (item 2 of argv) with title "
                      "(item 1 of argv)", "end run")  # fmt: skip
            lines = [part for line in script for part in ("-e", line)]
            return ["osascript", *lines, title, text], None
        program = shutil.which("notify-send")
        if program is None:
            raise NotDelivered("notify-send is not installed (libnotify-bin)", again=False)
        urgency = {"critical": "critical", "warning": "normal"}.get(message.level, "low")
        # The body is taken for markup.
        return [program, "-a", "mt5dash", "-u", urgency, "--", title, html.escape(text)], None
