"""Google's Gemini over its own protocol, generateContent.

    chat = GeminiChat("gemini-2.5-flash", {"temperature": 0, "maxOutputTokens": 8192})       # key in GEMINI_API_KEY
    reply = chat.ask("Which limb moves?", pictures=[picture])

Retries and keys are those of `motionmillion.chat.endpoint`. Unusual: thoughts of the model are left out of a reply,
and count as output tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from motionmillion.chat.endpoint import Endpoint, EndpointError, jpeg

GEMINI = "https://generativelanguage.googleapis.com/v1beta"


class GeminiChat(Endpoint):
    """A model behind Gemini's generateContent.

    Args:
        model: such as "gemini-2.5-flash".
        body: entries of `generationConfig`; an entry of None is removed.
        others: see `motionmillion.chat.endpoint.Endpoint`.
    """

    def __init__(
        self,
        model: str,
        body: Mapping[str, Any],
        api_key_env: str = "GEMINI_API_KEY",
        base_url: str = GEMINI,
        **options: Any,
    ) -> None:
        sending: dict[str, Any] = {"key_header": "x-goog-api-key", "key_prefix": "", "key_needed": True}
        super().__init__(base_url, api_key_env, **options, **sending)
        self.model = model
        self.body = {name: value for name, value in body.items() if value is not None}

    def ask(self, text: str, pictures: Sequence[Any] = (), system: str = "") -> str:
        """The model's reply, see `motionmillion.chat.model.ChatModel`; raises as `post` does."""
        parts: list[dict[str, Any]] = [
            {"inline_data": {"mime_type": "image/jpeg", "data": jpeg(picture)}} for picture in pictures
        ]
        body: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [*parts, {"text": text}]}],
            "generationConfig": self.body,
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        path = f"/models/{quote(self.model, safe='')}:generateContent"
        return self.post(path, body, _text, "Gemini's generateContent")


def _text(answer: Any) -> str:
    """The text of an answer without its thoughts.

    Raises:
        EndpointError: if there is none, with Gemini's reason.
    """
    if "candidates" not in answer and "promptFeedback" not in answer:
        raise KeyError("candidates")
    candidate = (answer.get("candidates") or [{}])[0]
    parts = candidate.get("content", {}).get("parts", [])
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if not text.strip():
        blocked = answer.get("promptFeedback", {}).get("blockReason")
        reason = candidate.get("finishReason") or blocked or "no reason given"
        raise EndpointError(f"Gemini must reply, got no words ({reason}); for MAX_TOKENS raise maxOutputTokens")
    return text
