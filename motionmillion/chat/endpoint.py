"""Requests to a server over HTTP: JSON in, text out. Uses the standard library only.

    chat = ChatEndpoint("http://localhost:8000/v1", "Qwen/Qwen2.5-VL-7B-Instruct", {"temperature": 0})
    reply = chat.ask("Does a person who waves move an arm?")

Requests to a busy or unresponsive server are retried with exponential backoff. Unusual: redirects are not followed,
and an API key is sent only over https or to localhost. An endpoint is thread-safe.
"""

import base64
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from motionmillion.configuration import check_number, check_whole

_BUSY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0
_LARGEST_ANSWER = 2**20


class EndpointError(ValueError):
    """A server gave no usable answer; the message says why and what to do, in one line."""


class Endpoint:
    """A server that answers JSON with JSON.

    Args:
        base_url: address up to the version, such as "https://api.openai.com/v1".
        api_key_env: environment variable with the key; if it is not set, no key is sent.
        timeout: seconds to wait for an answer.
        retries: number of retries.
        backoff: seconds before the first retry, doubled each time; a longer Retry-After of the server wins.
        key_header, key_prefix: HTTP header of the key, and the prefix of its value.
        key_needed: whether the server requires a key.

    Raises:
        ValueError: for an invalid address or number.
    """

    def __init__(
        self,
        base_url: str,
        api_key_env: str,
        timeout: float = 30.0,
        retries: int = 4,
        backoff: float = 1.0,
        *,
        key_header: str = "Authorization",
        key_prefix: str = "Bearer ",
        key_needed: bool = False,
    ) -> None:
        try:
            address = urlsplit(base_url)
        except ValueError:  # such as unbalanced brackets
            address = urlsplit("")
        plain = not (address.username or address.password or address.query or address.fragment)
        if address.scheme not in ("http", "https") or not address.hostname or not plain:
            raise ValueError(
                f'base_url must be an address such as "http://localhost:8000/v1" and no more, got {base_url!r}'
            )
        if check_number("timeout", timeout) == 0:
            raise ValueError("timeout must be above 0 seconds, got 0")
        self.base_url, self.timeout = base_url.rstrip("/"), timeout
        self.retries, self.backoff = check_whole("retries", retries, 0), check_number("backoff", backoff)
        self.api_key_env, self.key_header, self.key_prefix = api_key_env, key_header, key_prefix
        self.key_needed = key_needed
        self._here = address.scheme == "https" or address.hostname in ("localhost", "127.0.0.1", "::1")
        self._opener = urllib.request.build_opener(_NoRedirect)

    def headers(self) -> dict[str, str]:
        """Headers of a request, with the key if there is one.

        Raises:
            ValueError: if a required key is missing, or a key would be sent unencrypted.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "motionmillion"}
        key = os.environ.get(self.api_key_env, "").strip()
        if not key and self.key_needed:
            raise ValueError(f"{self.api_key_env} must hold a key for {self.base_url!r}, got none; set that variable")
        if key and not self._here:
            raise ValueError(
                f"base_url must be https where a key is sent, got {self.base_url!r} and {self.api_key_env}; unset "
                "the key"
            )
        return {**headers, self.key_header: self.key_prefix + key} if key else headers

    def check(self) -> None:
        """Raise `ValueError` if no request can be sent, see `headers`; sends nothing."""
        self.headers()

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], Any], protocol: str) -> str:
        """Send a request to `path`, with retries while the server is busy.

        Args:
            read: extracts the text from an answer; errors about missing entries are handled.
            protocol: name of the expected protocol, for the error message.

        Raises:
            EndpointError: if the server does not answer, refuses, or does not follow the protocol.
            ValueError: see `headers`.
        """
        url = self.base_url + path
        request = urllib.request.Request(url, json.dumps(body).encode(), self.headers(), method="POST")
        reason = ""
        for attempt in range(self.retries + 1):
            try:
                with self._opener.open(request, timeout=self.timeout) as response:
                    return self._text(response.read(_LARGEST_ANSWER), url, read, protocol)
            except urllib.error.HTTPError as error:
                reason, wait = self._refusal(error), _seconds(error.headers.get("Retry-After"))
                if error.code not in _BUSY:
                    raise EndpointError(f"endpoint {url!r} refused the request: {reason}") from None
            except (OSError, HTTPException) as error:  # no connection, a broken one, or no answer in time
                reason, wait = str(getattr(error, "reason", error)) or type(error).__name__, 0.0
            if attempt < self.retries:
                # exponential backoff, or the server's Retry-After if longer
                time.sleep(min(max(self.backoff * 2**attempt, wait), _LONGEST_WAIT))
        raise EndpointError(
            f"endpoint {url!r} must answer, got none in {self.retries + 1} attempts: {reason}; check the address"
        )

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        """Status and message of the server, in one line."""
        try:
            text = error.read(_LARGEST_ANSWER).decode("utf-8", "replace")
        except (OSError, HTTPException):  # the connection was closed early
            text = ""
        try:
            text = json.loads(text)["error"]["message"]
        except (json.JSONDecodeError, KeyError, TypeError):
            pass
        remedy = f"; set {self.api_key_env}" if error.code in (401, 403) else ""
        return f"{error.code} {' '.join(str(text).split())[:200]}{remedy}"

    def _text(self, data: bytes, url: str, read: Callable[[Any], Any], protocol: str) -> str:
        try:
            text = read(json.loads(data))
        except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise EndpointError(f"endpoint {url!r} must speak {protocol}, got {data[:80]!r}; check the address")
        return text


class ChatEndpoint(Endpoint):
    """A server that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama.

    Args:
        model: name of the model there.
        body: further entries of the request; an entry of None is removed.
        others: see `Endpoint`.
    """

    def __init__(
        self, base_url: str, model: str, body: Mapping[str, Any], api_key_env: str = "OPENAI_API_KEY", **options: Any
    ) -> None:
        super().__init__(base_url, api_key_env, **options)
        self.model = model
        self.body = {name: value for name, value in body.items() if value is not None}

    def ask(self, text: str, pictures: Sequence[Any] = (), system: str = "") -> str:
        """The model's reply, see `motionmillion.chat.model.ChatModel`; raises as `post` does."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        images = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg(picture)}"}}
            for picture in pictures
        ]
        content = [*images, {"type": "text", "text": text}] if images else text
        messages.append({"role": "user", "content": content})
        body = {"model": self.model, "messages": messages, **self.body}
        return self.post("/chat/completions", body, _chat_content, "OpenAI's chat completions")


def jpeg(picture: Any) -> str:
    """A picture as base64 of a JPEG file."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=90)
    return base64.b64encode(file.getvalue()).decode()


def _chat_content(answer: Any) -> Any:
    return answer["choices"][0]["message"]["content"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could send the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:  # an HTTP date, which is ignored
        return 0.0
