"""Which judge a name stands for.

    judge = make_judge("gemini:gemini-2.5-flash")      # or "https://host/v1#model", a local model, "retrieval"

Unusual: each kind is imported when it is asked for, as some need libraries that others do without.
"""

from pathlib import Path
from typing import Any

from motionmillion.eval.judges.judge import Judge


def make_judge(spec: str, **options: Any) -> Judge:
    """The judge that a name stands for.

    Args:
        spec: "retrieval" (options `evaluator` and `texts`), "similarity" (option `threshold`), "https://host/v1#model"
            for a server that speaks OpenAI's chat completions, "gemini:MODEL", or the folder or hub id of a
            vision-language model to run here.
        options: of its class; `device` is for models that run here and is left out elsewhere.

    Raises:
        ValueError: for an address or a service without a model, and a name that nobody has.
    """
    if spec == "retrieval":
        from motionmillion.eval.judges.retrieval import RetrievalJudge

        return RetrievalJudge(**{name: value for name, value in options.items() if name != "device"})
    if spec == "similarity":
        from motionmillion.eval.judges.similarity import SimilarityJudge

        return SimilarityJudge.bundled(**{name: value for name, value in options.items() if name != "device"})
    from motionmillion.chat.model import make_by_name
    from motionmillion.eval.judges.chat import EndpointJudge, GeminiJudge

    return make_by_name(
        spec, _local, EndpointJudge, GeminiJudge, demand="judge must name a model", example="MODEL", **options
    )


def _local(spec: str, **options: Any) -> Judge:
    from motionmillion.eval.judges.chat import TransformersJudge

    if "/" not in spec and not Path(spec).is_dir():  # no id of the hub, so nobody need be asked there
        raise ValueError(
            'judge must be "retrieval", "similarity", "https://host/v1#MODEL", "gemini:MODEL", a folder, or the id of '
            f'a model on the hub, "owner/name", got {spec!r}'
        )
    return TransformersJudge(spec, **options)
