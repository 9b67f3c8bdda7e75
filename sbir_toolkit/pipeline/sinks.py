"""Sending: one message a run to each sink, and a sink that is down hurts nobody.

`alerts.ndjson` and `alerts.md` are written always. E-mail, Slack, Teams and plain webhooks are addresses that
apprise knows (`mailtos://...`, `slack://...`, `json://...`); it comes with the extra `alerts`. An address
holds secrets, so it may be kept in an environment variable and named as `env:NAME`; no message shows one.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Sequence


def send_message(sinks: Sequence[str], title: str, body: str) -> list[str]:
    """Send a message to every sink; returns one sentence for each that didn't take it.

    Parameters
    ----------
    sinks
        Addresses, or `env:NAME`.
    title, body
        What is said; the body is Markdown.
    """
    if not sinks:
        return []
    if importlib.util.find_spec("apprise") is None:
        return ["no sink can be reached: apprise isn't installed; pip install 'sbir-toolkit[alerts]'"]
    return [
        f"sink {number} ({_name(sink)}) {why}"
        for number, sink in enumerate(sinks, start=1)
        if (why := _send(sink, title, body))
    ]


def _send(sink: str, title: str, body: str) -> str:
    address = os.environ.get(sink.removeprefix("env:"), "") if sink.startswith("env:") else sink
    if not address:
        return "is not set: the variable is empty"
    with warnings.catch_warnings():
        # It imports, late, modules that Python is about to drop; that is its own affair.
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        # What apprise logs of a failure may hold the address; what matters of it is said by the sentence.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        sender = apprise.Apprise()
        if not sender.add(address):
            return "isn't an address that apprise knows"
        is_sent = sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.MARKDOWN)
    return "" if is_sent else "didn't take the message"


def _name(sink: str) -> str:
    return sink if sink.startswith("env:") else f"{sink.partition('://')[0]}://..."
