"""The cache of codes and text features: what comes back, when it is made anew, and damage."""

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.sets.sequences import Sequences, Version, make_sequences
from motionmillion.data.sets.token_cache import cached_sequences, cached_texts, fingerprint
from motionmillion.provenance import tensors_hash
from motionmillion.text.encoder import TextEncoder


def clips(count=3):
    sources = ("cmu_index", "watched")
    return [
        MotionClip(
            f"c{n}", synthesize("wave", seed=n, seconds=2), (f"Title {n}", "waves left"), sources=sources, ends=n > 0
        )
        for n in range(count)
    ]


def same(one: Sequences, two: Sequences) -> bool:
    pairs = [(a, b) for x, y in zip(one.codes, two.codes, strict=True) for a, b in zip(x, y, strict=True)]
    return (
        all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)
        and one.versions == two.versions
        and one.groups == two.groups
    )


def never() -> Sequences:
    raise RuntimeError("made again")


def test_sequences_come_back_as_they_were(tmp_path, tiny_tokenizer):
    made = make_sequences(clips(), tiny_tokenizer, variants=2, seed=1)
    assert len({len(codes) for own in made.codes for codes in own}) > 1 and len(made.codes[0]) == 2
    assert cached_sequences(tmp_path, "a" * 64, lambda: made) is made
    assert same(cached_sequences(tmp_path, "a" * 64, never), made)
    with pytest.raises(RuntimeError, match="made again"):
        cached_sequences(tmp_path, "b" * 64, never)


def test_latents_and_unlike_numbers_of_versions_come_back(tmp_path):
    codes = [[torch.randn(3, 2), torch.randn(1, 2)], [torch.randn(4, 2)]]
    said = [[Version(("a", "b"), ("b",), ("", "watched"), False, False), Version(("c",))], [Version(("ü",))]]
    made = Sequences(codes, said, {"category": ["x", None]})
    cached_sequences(tmp_path, "k", lambda: made)
    assert same(cached_sequences(tmp_path, "k", never), made)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damage_is_said_and_made_good(tmp_path, damage):
    made = Sequences([[torch.arange(9)]], [[Version(("a",))]], {"category": ["x"]})
    cached_sequences(tmp_path, "k", lambda: made)
    path = next(tmp_path.glob("codes-*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes({"cut": content[:-9], "flip": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match="cache must be whole, got a damaged .*; it is made again"):
        assert cached_sequences(tmp_path, "k", lambda: made) is made
    assert same(cached_sequences(tmp_path, "k", never), made)


class Counting(TextEncoder):
    """An encoder that keeps what it was asked."""

    asked: list[str]

    def __call__(self, texts):
        self.asked = [*getattr(self, "asked", []), *texts]
        return super().__call__(texts)


def test_only_new_texts_are_encoded(tmp_path, text_encoder):
    encoder, counting = text_encoder, Counting(sentence=True)
    first = cached_texts(tmp_path, ["a person walks", "waves"], counting)
    again = cached_texts(tmp_path, ["waves", "jumps"], counting)
    assert sorted(counting.asked) == ["a person walks", "jumps", "waves"] and len(again) == 3
    for text in ("a person walks", "waves", "jumps"):
        features, mask = encoder([text])
        assert again[text].dtype == torch.float32
        assert torch.allclose(again[text], features[0][mask[0]], atol=5e-3)
    assert torch.equal(first["waves"], again["waves"])
    cached_texts(tmp_path, ["waves"], Counting(max_length=16))
    assert len(list(tmp_path.glob("texts-*.safetensors"))) == 2


def test_keys_follow_what_they_are_made_of():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    state = {"w": torch.zeros(3), "n": torch.tensor(1)}
    assert tensors_hash(state) == tensors_hash(dict(reversed(state.items())))
    assert tensors_hash(state) != tensors_hash({**state, "w": torch.tensor([0.0, 0.0, 1e-9])})
