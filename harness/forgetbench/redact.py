"""Secrets stay out of what is printed, logged and written."""

from __future__ import annotations

import os
import re

SECRET_NAME = re.compile(
    r"TOKEN(?!IZERS)|PASSWORD|PASSWD|SECRET|CREDENTIAL|KEYS?(?=_|\d|$)|AUTH(?!OR)", re.IGNORECASE
)
"""Names of environment variables that hold a secret."""
HIDDEN = "***"
_SHORTEST = 8
"""Characters of a secret; a shorter value, such as ``true``, is one that occurs anywhere."""
_IN_URL = re.compile(r"//[^/\s]*@")
_IN_QUERY = re.compile(
    r"(?i)([?&][\w.-]*(?:token|secret|password|passwd|signature|sig|auth|key|credential)=)[^&\s'\"]+"
)
_OF_THE_HUB = re.compile(r"\bhf_[A-Za-z0-9]{16,}\b")


def without_credentials(text: str) -> str:
    """Return a URI, or a text with URIs in it, without user, password and tokens.

    Example:
        >>> without_credentials("https://me:pass@host/x?token=abc&page=2")
        'https://***@host/x?token=***&page=2'
    """
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_URL.sub(f"//{HIDDEN}@", text))


def redact(text: str) -> str:
    """Return a text without the secrets of this process.

    Hidden are the values of environment variables that are named like secrets, credentials in URLs, and
    whatever has the form of a token of the Hugging Face hub.
    """
    values = {
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and SECRET_NAME.search(name) and not value.isdecimal()
    }
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _OF_THE_HUB.sub(HIDDEN, without_credentials(text))
