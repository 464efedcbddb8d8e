"""The channels of alerts: webhook, Telegram, e-mail, the desktop.

They block and are used in threads of their own only. Their errors do not contain the address,
which may contain a secret.
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
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Protocol

import msgspec

from ..errors import Mt5dashError
from ..http_get import HttpClient, NoResponse
from ..protocol.sanitise import clean
from .settings import AlertSettings, EmailSettings, TelegramSettings, WebhookSettings

TIMEOUT_S = 10.0
HTTP = HttpClient(timeout_s=TIMEOUT_S, max_bytes=4096, use_proxies=True)
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotDelivered(Mt5dashError):
    """A message did not reach its recipient; the text says why.

    Attributes:
        retry: Whether a further try may succeed.
        retry_after_s: Seconds that the recipient asks to wait, if it does.
    """

    def __init__(self, text: str, *, retry: bool, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry = retry
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it is sent: ``at`` in ISO 8601 UTC, ``event`` the event that caused it."""

    title: str
    text: str
    level: str
    kind: str
    at: str
    event: Mapping[str, Any] | None = None


class Channel(Protocol):
    """One way to deliver alerts."""

    name: str

    def send(self, message: Message) -> None:
        """Deliver one message. May block for about ten seconds.

        Raises:
            NotDelivered: it was not delivered.
        """
        ...


def open_channels(settings: AlertSettings) -> list[Channel]:
    """The channels that the settings name."""
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


def request(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    client: HttpClient = HTTP,
) -> None:
    """GET ``url``, or POST ``body`` to it.

    Raises:
        NotDelivered: no connection, or an answer other than 2xx.
    """
    try:
        found = client.get(url, headers) if body is None else client.post(url, body, headers)
    except NoResponse as error:
        raise NotDelivered(str(error), retry=error.retry) from None
    if not found.ok:
        text = clean(found.body.decode("utf-8", "replace").strip(), 200)
        raise NotDelivered(
            f"HTTP {found.status}" + (f": {text}" if text else ""),
            retry=found.status in RETRY_STATUS,
            retry_after_s=found.retry_after_s,
        )


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
        request(self._settings.url.get_secret_value(), body, headers)


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
        request(url, body, {"Content-Type": "application/json"})


class Email:
    """One mail per alert."""

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
            raise NotDelivered(f"refused for {', '.join(error.recipients)}", retry=False) from None
        except smtplib.SMTPResponseException as error:
            answer = error.smtp_error
            text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
            retry = 400 <= error.smtp_code < 500
            raise NotDelivered(f"SMTP {error.smtp_code}: {clean(text, 200)}", retry=retry) from None
        except (smtplib.SMTPException, OSError) as error:
            certificate = isinstance(error, ssl.SSLCertVerificationError)
            raise NotDelivered(
                f"no mail: {clean(str(error), 200)}", retry=not certificate
            ) from None
        if refused:
            raise NotDelivered(f"refused for {', '.join(refused)}", retry=False)

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
    """A notification of this machine's desktop, by the desktop's own program."""

    name = "desktop"

    def send(self, message: Message) -> None:
        command, env = self.command(message)
        try:
            done = subprocess.run(
                command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotDelivered(f"{command[0]}: {type(error).__name__}", retry=False) from None
        if done.returncode:
            text = clean(done.stderr.decode("utf-8", "replace").strip(), 200)
            raise NotDelivered(f"{command[0]} failed: {text}", retry=True)

    @staticmethod
    def command(message: Message) -> tuple[list[str], dict[str, str] | None]:
        """The command line and its environment. Texts are never part of a script."""
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
            raise NotDelivered("notify-send is not installed (libnotify-bin)", retry=False)
        urgency = {"critical": "critical", "warning": "normal"}.get(message.level, "low")
        # notify-send interprets the body as markup.
        return [program, "-a", "mt5dash", "-u", urgency, "--", title, html.escape(text)], None
