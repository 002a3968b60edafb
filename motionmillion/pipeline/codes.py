"""CodesPipeline: text to motion with a language model over the codes, or latents, of a tokenizer.

    pipe = MotionPipeline.from_pretrained("mini")
    motion = pipe(["a person waves"], seconds=4, seed=0)[0]
    longer = pipe("a person sits down", seconds=3, prefix=motion)[0]
    motion = pipe.timeline([("a person walks forward", 4), ("a person jumps", 2)])[0]
    motion = pipe.inbetween("a person turns around", start=walk, end=run, seconds=2)
    for chunk in pipe.stream("a person walks"):
        ...

A pipeline folder holds `pipeline.json` (versions and default sampling options), `tokenizer/`, `lm/`,
`text_encoder.json` and perhaps a `matcher/`, which helps to choose among candidates.

Unusual: the motion of a prompt depends only on the prompt, the seed and the options, never on the other prompts of the
call or the batch size (in float32, the default; in lower precision, rounding may differ between batch sizes and flip a
near tie). Sample n of a prompt has a seed derived from `seed` and n, and so has part n of a timeline.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from motionmillion.configuration import check_number, check_whole
from motionmillion.kinematics.joining import continue_from, lead_into, place
from motionmillion.lm import MotionLM
from motionmillion.lm.generation.loop import stream as stream_tokens
from motionmillion.lm.generation.timeline import fill_between, stream_timeline
from motionmillion.motion import Motion
from motionmillion.pipeline.base import batches, check_motion, rewritten, sample_seed
from motionmillion.pipeline.choosing import GAIN, generated, prompt_fits, text_gains
from motionmillion.pipeline.codes_steps import CodesSteps
from motionmillion.pipeline.options import CodesOptions, FlowHeadOptions, leave_out
from motionmillion.pipeline.ways import CANDIDATES, Way, on_way
from motionmillion.quantization import low_bit_arguments
from motionmillion.text.encoder import TextEncoder, check_texts
from motionmillion.text.rewriting import PromptRewriter
from motionmillion.tokenizer import MotionTokenizer


class CodesPipeline(CodesSteps):
    """Text encoder, language model and tokenizer in one object.

    Calls that take `options` accept

    | option | meaning |
    |---|---|
    | candidates | motions sampled for each one asked for, of which the one that fits the prompt best is kept, see \
      `motionmillion.pipeline.choosing`; on a path the nearest. Timelines and streams sample one |
    | temperature, top_k, top_p, min_p | sampling, see `motionmillion.lm.generation.sampling.Sampling`; temperature \
      0 is greedy |
    | repetition_penalty, no_repeat_ngram_size | limits on repetition, see there |
    | guidance_scale | classifier-free guidance, how closely to follow the text, see there |
    | steps, solver, shift, guidance_interval | only with a flow head, see `motionmillion.lm.flow.FlowSampling`; \
      top_k, top_p, min_p and limits on repetition do not apply then, and temperature 0 is the same for every seed |
    | min_seconds, max_seconds | bounds for motions whose length the model chooses |
    | transition | seconds of the preceding motion used as context; more stays closer to that motion |
    | cache, compiled, int8 | speed, see `motionmillion.lm.generation.loop.stream` |

    Args:
        defaults: default values of all options but those of the last row.
    """

    kind = None
    noun = "a language model"

    def __call__(
        self,
        prompts: str | list[str],
        seconds: float | None = None,
        num_samples: int = 1,
        seed: int = 0,
        *,
        batch_size: int = 32,
        prefix: Motion | None = None,
        rewriter: PromptRewriter | None = None,
        path: Any = None,
        speed: float | None = None,
        turn: float | None = None,
        facing: float | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate motions for prompts, `num_samples` consecutive ones for each.

        Args:
            prompts: sentences.
            seconds: length of every motion; None lets the model end it, at `max_seconds` at the latest.
            seed: the same seed gives the same motions.
            batch_size: motions generated together, or with candidates those of one prompt; bounds memory and does not
                change results.
            prefix: a motion to continue; the result begins with it, and `seconds` counts the new part only.
            rewriter: rewrites each prompt before it is encoded, see `motionmillion.text.rewriting`; the rewritten
                prompts become the captions of the motions.
            path, speed, turn: where to go, see `motionmillion.pipeline.ways`: of the candidates the one whose way is
                nearest is brought onto the path, its footprints with it. Without prefix.
            facing: only a DiT takes it.
            options: see the class.

        Raises:
            ValueError: for prompts without words and options out of range.
        """
        way = self.way(path, speed, turn, facing, seconds, prefix)
        chosen = self.options({**options, "seconds": way.seconds if way else seconds})
        rows = [(text,) for text in rewritten(check_texts(prompts), rewriter)]
        motions = []
        for texts, seeds in batches(rows, num_samples, seed, batch_size):
            motions += self._asked(texts, seeds, chosen, prefix, way)
        return motions

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        seconds: float | None = None,
        prefix: Motion | None = None,
        path: Any = None,
        speed: float | None = None,
        turn: float | None = None,
        facing: float | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one batch: a motion per prompt, each with its own seed; other arguments as in a call."""
        way = self.way(path, speed, turn, facing, seconds, prefix)
        chosen = self.options({**options, "seconds": way.seconds if way else seconds})
        return self._asked(list(prompts), seeds, chosen, prefix, way)

    def way(
        self,
        path: Any,
        speed: float | None,
        turn: float | None,
        facing: float | None,
        seconds: float | None,
        prefix: Motion | None,
    ) -> Way | None:
        """The way that a call asks for, checked; None if it asks for none."""
        if facing is not None:
            raise ValueError(f"facing must be left out for a language model, got {facing!r}; say it in the prompt")
        way = Way.of(path, speed, turn, None, seconds)
        if way is not None and way.path is None:
            raise ValueError(
                "turn must come with a speed above 0 for a language model, which is brought onto a path; say a turn "
                "in place in the prompt"
            )
        if way is not None and prefix is not None:
            raise ValueError("path, speed and turn must be left out with prefix, got both")
        return way

    def candidates(self, options: CodesOptions | FlowHeadOptions, way: Way | None) -> int:
        """How many motions are sampled for each that is asked for."""
        return options.candidates or (CANDIDATES if way else 1)

    def _asked(
        self,
        prompts: list[str],
        seeds: Sequence[int],
        options: CodesOptions | FlowHeadOptions,
        prefix: Motion | None,
        way: Way | None,
    ) -> list[Motion]:
        """One motion per prompt, the best of several where there are candidates."""
        many, found = self.candidates(options, way), []
        if many == 1 and way is None:
            _, found = self.sample_tokens(prompts, seeds, options, prefix)
            return [motion.replace(caption=text) for text, motion in zip(prompts, found, strict=True)]
        given = 0.0 if prefix is None else prefix.seconds
        for text, seed in zip(prompts, seeds, strict=True):
            tokens, motions = self.sample_tokens(
                [text] * many, [sample_seed(seed, n) for n in range(many)], options, prefix
            )
            found.append(self.best(text, tokens, motions, way, given).replace(caption=text))
        return found

    def best(
        self,
        prompt: str,
        tokens: Tensor | Sequence[Tensor],
        motions: Sequence[Motion],
        way: Way | None = None,
        after: float = 0.0,
    ) -> Motion:
        """The one of several motions that fits the prompt best, or on a way the nearest, brought onto it.

        Args:
            tokens: of the motions, a row `[N]` of each.
            after: seconds of the motions that are given, not generated.
        """
        if way is not None:
            return on_way(motions, way)
        if len(motions) == 1:
            return motions[0]
        return motions[int(self.fits(prompt, tokens, motions, after).argmax())]

    def fits(
        self, prompt: str, tokens: Tensor | Sequence[Tensor], motions: Sequence[Motion], after: float = 0.0
    ) -> Tensor:
        """How well motions fit a prompt `[K]`; see `best` for the arguments."""
        fits = prompt_fits(prompt, generated(motions, after), self.text_encoder, self.matcher)
        if self.continuous:
            return fits
        features, mask = self.read([prompt])
        rows = pad_sequence(list(tokens), batch_first=True, padding_value=self.lm.config.padding_token_id)
        spread = (features.expand(len(rows), -1, -1), mask.expand(len(rows), -1))
        return fits + GAIN * text_gains(self.lm, rows, *spread)

    def sample_tokens(
        self,
        prompts: list[str],
        seeds: Sequence[int],
        options: CodesOptions | FlowHeadOptions,
        prefix: Motion | None = None,
    ) -> tuple[Tensor, list[Motion]]:
        """Tokens `[B, N]` of a motion per prompt, those of the prefix before them, and the motions."""
        # 1. encode the text and the prefix
        features, mask = self.read(prompts)
        before = None
        if prefix is not None:
            prefix, codes, before = self.encode_prefix(prefix, len(prompts), self.overlap(options))
        # 2. generate tokens
        start = {self.lm.prefix_name: before}
        tokens = self.lm.generate(
            features, mask, seeds=seeds, **start, **self.lengths(options), **self.decoding(options)
        )
        # 3. decode them
        frames = self.frames(options)
        if prefix is None or before is None:
            return tokens, [self.decode(row, frames) for row in tokens]
        return tokens, [self.continued(prefix, codes, row[before.shape[1] :], frames) for row in tokens]

    def timeline(
        self,
        parts: Sequence[tuple[str, float]],
        num_samples: int = 1,
        seed: int = 0,
        prefix: Motion | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one motion through several texts, each with its own length; `num_samples` versions of it.

        Args:
            parts: pairs of text and seconds, in order.
            prefix: a motion to continue, as in a call.
            options: see the class.

        Raises:
            ValueError: for parts without words or without length, and options out of range.
        """
        leave_out(options, ("candidates",), "with a timeline, which samples one")
        chosen = self.options(options, timed=True)
        counts, overlap = self.part_codes(parts), self.overlap(chosen)
        check_whole("num_samples", num_samples, 1)
        seeds = [sample_seed(seed, n) for n in range(num_samples)]
        before = None
        if prefix is not None:
            prefix, codes, before = self.encode_prefix(prefix, num_samples, overlap)
        steps = stream_timeline(
            self.lm, self.read_parts(parts, counts, seeds), overlap, before, **self.decoding(chosen)
        )
        tokens = torch.stack(list(steps), dim=1)  # [num_samples, N]
        frames = round(sum(seconds for _, seconds in parts) * self.fps)
        if prefix is None:
            motions = [self.decode(row, frames) for row in tokens]
        else:
            motions = [self.continued(prefix, codes, row, frames) for row in tokens]
        return [motion.replace(caption="; ".join(text for text, _ in parts)) for motion in motions]

    def inbetween(
        self,
        prompt: str,
        start: Motion,
        end: Motion,
        seconds: float,
        candidates: int = 16,
        seed: int = 0,
        **options: Any,
    ) -> Motion:
        """A motion that begins with `start`, ends with `end`, and follows the prompt in between.

        Several continuations of `start` are sampled, and the one under which `end` is most probable is kept. `end`
        keeps its poses; it is moved along the ground and turned to where the new motion arrives.

        Args:
            seconds: length of the new motion in between, rounded to whole codes.
            candidates: number of continuations to sample.
            options: see the class.

        Raises:
            ValueError: if it does not fit into the model's context, and for options out of range.
        """
        check_number("seconds", seconds)
        chosen = self.options({**options, "seconds": seconds})
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        # at least one code of both ends has to fit into the context
        hop, context = self.tokenizer.config.frames_per_token, self.lm.config.context_codes
        count = max(round(seconds * self.codes_per_second), 1)
        if count > context - 2:
            longest = (context - 2) / self.codes_per_second
            raise ValueError(f"seconds must be at most {longest:g} between two motions, got {seconds!r}")
        check_whole("candidates", candidates, 1)
        start, end = (check_motion(m, name).resample(self.fps) for m, name in ((start, "start"), (end, "end")))
        around = (context - count) // 2  # codes on either side that fit into the context
        first = self._codes(start, -around, "start")
        last = self._codes(end, around, "end")
        before = first[-self.overlap(chosen) :]
        seeds = [sample_seed(seed, n) for n in range(candidates)]
        features, mask = self.read(check_texts(prompt))
        between = fill_between(self.lm, features, mask, before, last, count, seeds, **self.decoding(chosen))
        # decode with codes of both ends for smooth seams, then restore the given motions exactly
        whole = self.decode(torch.cat([first, between, last]))
        into = lead_into(whole, end, overlap=len(last) * hop)
        return continue_from(start, into, overlap=len(first) * hop).replace(caption=prompt)

    def stream(
        self,
        prompt: str | Sequence[tuple[str, float]],
        seconds: float | None = None,
        seed: int = 0,
        *,
        chunk_tokens: int = 8,
        **options: Any,
    ) -> Iterator[Motion]:
        """Yield a motion in pieces while tokens are still being generated; joined, they are `pipe(prompt)`.

        With the option `candidates` they are `pipe(prompt, candidates=1)`.

        A frame is yielded as soon as no later token can change it. With a wavelet longer than Haar the first frames
        depend on the last ones, so everything is yielded at once.

        Args:
            prompt: a sentence, or the parts of a timeline.
            chunk_tokens: new tokens between two pieces.
            options: see the class.
        """
        leave_out(options, ("candidates",), "with a stream, which samples one")
        chosen = self.options({**options, "seconds": seconds}, timed=not isinstance(prompt, str))
        check_whole("chunk_tokens", chunk_tokens, 1)
        if isinstance(prompt, str):
            features, mask = self.read(check_texts(prompt))
            how = {**self.lengths(chosen), **self.decoding(chosen)}
            steps = stream_tokens(self.lm, features, mask, seeds=[sample_seed(seed, 0)], **how)
            caption, frames = prompt, self.frames(chosen)
        else:
            if seconds is not None:
                raise ValueError(f"seconds must be left out where the parts have their own, got {seconds!r}")
            counts = self.part_codes(prompt)
            parts = self.read_parts(prompt, counts, [sample_seed(seed, 0)])
            steps = stream_timeline(self.lm, parts, self.overlap(chosen), **self.decoding(chosen))
            frames = max(round(sum(length for _, length in prompt) * self.fps), 1)
            caption = "; ".join(text for text, _ in prompt)
        return self.pieces(steps, caption, frames, chunk_tokens)

    def pieces(self, steps: Iterator[Tensor], caption: str, left: int, chunk_tokens: int) -> Iterator[Motion]:
        """Decode tokens `[1]` as they come: pieces of one motion, `left` frames at most; see `stream`."""
        last: Tensor | None = None
        before: Motion | None = None
        for piece in self.tokenizer.decode_stream(self._chunks(steps, chunk_tokens)):
            features = piece[0, :left].float().cpu()
            if not len(features):
                return
            left -= len(features)
            # path and heading are integrated: decode from the last frame of the previous piece
            motion = self.tokenizer.representation.decode(features if last is None else torch.cat([last, features]))
            if before is not None:
                motion = place(motion, 0, before, -1).slice(1, motion.num_frames)
            last, before = features[-1:], motion
            yield motion.replace(caption=caption)

    def _chunks(self, steps: Iterator[Tensor], size: int) -> Iterator[Tensor]:
        """Group single tokens `[1]` (or latents) into codes `[1, n]`, `size` at a time, up to the end."""
        tokens: list[Tensor] = []
        for token in steps:
            if not len(self.lm.motion_only(token)):
                break
            tokens.append(token)
            if len(tokens) == size:
                yield torch.stack(tokens, dim=1).to(self.tokenizer.device)
                tokens = []
        if tokens:
            yield torch.stack(tokens, dim=1).to(self.tokenizer.device)

    @classmethod
    def load(
        cls,
        folder: Path,
        defaults: Mapping[str, Any] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantization: str | None = None,
    ) -> "CodesPipeline":
        """Load the pipeline in a folder; `MotionPipeline.from_pretrained` calls it.

        Raises:
            ValueError: if a part of it is missing or damaged.
        """
        tokenizer = MotionTokenizer.from_pretrained(folder / "tokenizer", dtype=torch.float32)
        low = low_bit_arguments(quantization, device, dtype)
        lm = MotionLM.from_pretrained(folder / "lm", dtype=dtype, **low)
        return cls(tokenizer, lm, TextEncoder.from_pretrained(folder), defaults).placed(device)

    def placed(self, device: str) -> Self:
        """The pipeline on a device; a language model with low-bit weights was loaded there and stays."""
        low = getattr(self.lm, "hf_quantizer", None) is not None
        for part in (self.tokenizer, self.text_encoder, *([] if low else [self.lm])):
            part.to(device)  # type: ignore[arg-type]
        return self

    def weighted_parts(self) -> dict[str, PreTrainedModel]:
        return {"tokenizer": self.tokenizer, "lm": self.lm}
