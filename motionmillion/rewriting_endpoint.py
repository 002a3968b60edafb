"""Prompt rewriting by a server that speaks OpenAI's chat completions.

    rewriter = EndpointRewriter("http://localhost:8000/v1", "Qwen/Qwen2.5-7B-Instruct")
    rewriter = EndpointRewriter("https://api.openai.com/v1", "gpt-4o-mini", api_key_env="OPENAI_API_KEY")

Only the standard library is used. A server that is busy or does not answer is asked again, each time after twice the
wait. Unusual: redirects are not followed, and a key is sent over https only, or to this machine.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from motionmillion.configuration import check_number, check_whole
from motionmillion.rewriting import INSTRUCTION, PromptRewriter, RewriteError

_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_LARGEST_ANSWER = 2**20


class EndpointRewriter(PromptRewriter):
    """Rewrites by asking `base_url`/chat/completions.

    Args:
        base_url: address up to the version, such as "https://api.openai.com/v1".
        model: name of the model there.
        api_key_env: environment variable that holds the key; where it is not set, none is sent.
        timeout: seconds to wait for an answer.
        retries: how often to ask again.
        backoff: seconds before asking again, doubled each time; a server's Retry-After counts where it is longer.
        body: further entries of the request, over `temperature` 0, `max_tokens` 200; None takes an entry out.
        others: see `PromptRewriter`.

    Raises:
        ValueError: for an address or a number that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 1.0,
        body: Mapping[str, Any] | None = None,
        *,
        instruction: str = INSTRUCTION,
        cache: str | Path | None = None,
        on_error: str = "raise",
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f'base_url must be an address such as "http://localhost:8000/v1", got {base_url!r}')
        if check_number("timeout", timeout) == 0:
            raise ValueError("timeout must be above 0 seconds, got 0")
        self.retries, self.backoff = check_whole("retries", retries, 0), check_number("backoff", backoff)
        settings = {"temperature": 0, "max_tokens": 200, **(body or {})}
        self.body = {name: value for name, value in settings.items() if value is not None}
        identity = f"endpoint {base_url} {model} {json.dumps(self.body, sort_keys=True)}"
        super().__init__(identity, instruction, cache, on_error)
        self.url, self.model, self.timeout = base_url.rstrip("/") + "/chat/completions", model, timeout
        self.api_key_env = api_key_env
        self._here = address.scheme == "https" or address.hostname in ("localhost", "127.0.0.1", "::1")
        self._opener = urllib.request.build_opener(_NoRedirect)

    def answer(self, prompt: str) -> str:
        messages = [{"role": "system", "content": self.instruction}, {"role": "user", "content": prompt}]
        data = json.dumps({"model": self.model, "messages": messages, **self.body}).encode()
        request = urllib.request.Request(self.url, data, self._headers(), method="POST")
        for attempt in range(self.retries + 1):
            try:
                with self._opener.open(request, timeout=self.timeout) as response:
                    return self._content(response.read(_LARGEST_ANSWER))
            except urllib.error.HTTPError as error:
                reason, wait = self._refusal(error), _seconds(error.headers.get("Retry-After"))
                if error.code not in _BUSY:
                    raise RewriteError(f"endpoint {self.url!r} refused the request: {reason}") from None
            except (OSError, HTTPException) as error:  # no connection, a broken one, or no answer in time
                reason, wait = str(getattr(error, "reason", error)) or type(error).__name__, 0.0
            if attempt < self.retries:
                time.sleep(min(max(self.backoff * 2**attempt, wait), _LONGEST_WAIT))
        raise RewriteError(
            f"endpoint {self.url!r} must answer, got none in {self.retries + 1} attempts: {reason}; check the "
            'address, or keep prompts with on_error="keep"'
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "motionmillion"}
        key = os.environ.get(self.api_key_env, "").strip()
        if key and not self._here:
            raise ValueError(
                f"base_url must be https where a key is sent, got {self.url!r} and {self.api_key_env}; unset the key"
            )
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        """Status and the server's own words, in one line."""
        text = error.read(_LARGEST_ANSWER).decode("utf-8", "replace")
        try:
            text = json.loads(text)["error"]["message"]
        except (json.JSONDecodeError, KeyError, TypeError):
            pass
        remedy = f"; set {self.api_key_env}" if error.code in (401, 403) else ""
        return f"{error.code} {' '.join(str(text).split())[:200]}{remedy}"

    def _content(self, data: bytes) -> str:
        try:
            content = json.loads(data)["choices"][0]["message"]["content"]
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            raise RewriteError(
                f"endpoint {self.url!r} must speak OpenAI's chat completions, got {data[:80]!r}; check the address"
            )
        return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could carry the key to another machine."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:  # a date
        return 0.0
