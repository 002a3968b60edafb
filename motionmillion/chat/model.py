"""What a chat model is, and which kind of one a name means.

    "https://host/v1#model"           a server with OpenAI's chat completions, see `motionmillion.chat.endpoint`
    "gemini:gemini-2.5-flash"         Google's Gemini, see `motionmillion.chat.gemini`
    "owner/name", "my_folder"         a model of transformers, run here, see `motionmillion.chat.local`

Prompt rewriting and judges are built on these; both take such names. Unusual: nothing is loaded or sent before the
first question.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class ChatModel(Protocol):
    """Replies to a text, and to pictures if it can see."""

    def ask(self, text: str, pictures: Sequence[Any] = (), system: str = "") -> str:
        """The reply, in words; it may be empty.

        Args:
            text: what the user says.
            pictures: of Pillow, shown before the text.
            system: instructions for the model, as a message of their own.
        """
        ...

    def check(self) -> None:
        """Raise `ValueError` if asking is bound to fail, such as for want of a key; costs nothing."""
        ...


def make_by_name(
    name: str,
    local: Callable[..., T],
    endpoint: Callable[..., T],
    gemini: Callable[..., T],
    *,
    demand: str,
    example: str,
    **options: Any,
) -> T:
    """Call what builds on the kind of chat model that a name means.

    Args:
        name: see the module's docstring.
        local, gemini: called with the model and the options.
        endpoint: called with address, model and options.
        demand, example: for the error about a missing model: "judge must name a model", and what to write for it.
        options: `device` is for models that run here and is left out elsewhere.

    Raises:
        ValueError: for an address or a service without a model.
    """
    if not name.startswith(("http://", "https://", "gemini:")):
        return local(name, **options)
    sign = ":" if name.startswith("gemini:") else "#"
    address, _, model = name.partition(sign)
    if not model:
        raise ValueError(f'{demand}, got {name!r}; write "{address}{sign}{example}"')
    options.pop("device", None)  # the server's own
    return gemini(model, **options) if sign == ":" else endpoint(address, model, **options)
