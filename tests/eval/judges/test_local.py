"""A vision-language model as a judge: a tiny LLaVA that learns on the spot to tell two motions by their pictures."""

import json
import sys

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils import is_torchvision_available

from motionmillion.data.synthetic.clips import synthesize
from motionmillion.eval.judges.ask import ask_all, tally
from motionmillion.eval.judges.chat import TransformersJudge
from motionmillion.eval.judges.judge import Question
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.eval.judges.replies import instruction

pytest.importorskip("PIL.Image")

TEXT = "a person waves"
SHEET = Rendering(size=64, sheet=True)
MOTIONS = {"yes": synthesize("wave", seed=0, seconds=2), "no": synthesize("jump", seed=0, seconds=2)}
TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image> {% else %}{{ part.text }} {% endif %}"
    "{% endfor %}{% endfor %}<reply>"
)


def processor_for(words: list[str]) -> LlavaProcessor:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<unk>", "</s>", "<pad>", "<image>", "<reply>"]
    tokenizer.train_from_iterator(words, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>", "<reply>"],
    )
    size = {"height": 32, "width": 32}
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    return LlavaProcessor(
        pictures,
        fast,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )


def tiny_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    vision = CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=32, **sizes)
    tokenizer = processor.tokenizer
    ends = dict(eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=tokenizer.pad_token_id)
    text = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=2048, **ends, **sizes)
    image = tokenizer.convert_tokens_to_ids("<image>")
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_id=image,
            image_seq_length=16,
            vision_feature_layer=-1,
        )
    )
    for name, parameter in model.named_parameters():  # larger weights, so that pictures make a difference
        if parameter.ndim > 1 and ("vision" in name or "projector" in name):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that says "Answer: yes" and "Answer: no" of the two motions; their texts are the same."""
    shown = {word: SHEET.show(motion) for word, motion in MOTIONS.items()}
    prompts = {word: instruction("match", (TEXT,), show.note) for word, show in shown.items()}
    assert prompts["yes"] == prompts["no"]
    processor = processor_for([prompts["yes"], "Answer: yes no"])
    model = tiny_model(processor)
    batch = processor(
        text=[f"<image> {prompts[word]} <reply> Answer: {word} </s>" for word in MOTIONS],
        images=[shown[word].pictures for word in MOTIONS],
        return_tensors="pt",
    )
    labels = batch["input_ids"].clone()
    labels[:, :-3] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    path = tmp_path_factory.mktemp("judge")
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def test_a_local_model_judges_what_it_sees(folder, tmp_path):
    questions = [Question(word, "match", motion, TEXT) for word, motion in MOTIONS.items()]
    judge = TransformersJudge(str(folder), rendering=SHEET, max_new_tokens=5)
    assert judge.name == folder.name
    answers = ask_all(judge, questions, cache=tmp_path / "cache.jsonl")
    assert [answer.reply for answer in answers] == ["Answer: yes", "Answer: no"]
    assert [answer.right for answer in answers] == [True, False]
    again = TransformersJudge(str(folder), rendering=SHEET, max_new_tokens=5)
    assert ask_all(again, questions, cache=tmp_path / "cache.jsonl") == answers and again.chat.loaded is None


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_a_local_model_sees_several_frames(folder, dtype):
    judge = TransformersJudge(str(folder), dtype=dtype, rendering=Rendering(fps=2, size=64), max_new_tokens=3)
    questions = [
        Question("1", "choice", MOTIONS["yes"], TEXT, ("a person jumps",)),
        Question("2", "match", MOTIONS["no"], TEXT),
    ]
    answers = ask_all(judge, questions)  # it learned one picture only: whatever it says of four is a reply
    assert all(answer.reply for answer in answers) and tally(answers)["failed"] == 0
    assert ask_all(judge, questions) == answers


def test_a_model_that_says_nothing_is_a_failure(folder):
    judge = TransformersJudge(str(folder), rendering=SHEET, max_new_tokens=5)
    processor, model = judge.chat.load()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[processor.tokenizer.eos_token_id] = 1e3 * model.lm_head.weight.new_ones(32)
        model.model.language_model.norm.weight.zero_()  # every logit is 0, and the first token is a special one
    (answer,) = ask_all(judge, [Question("1", "match", MOTIONS["no"], TEXT)])
    assert answer.failed and "must reply with words" in answer.error


def test_what_a_judge_depends_on(folder, tmp_path):
    describe = TransformersJudge(str(folder)).describe()
    assert describe["model"] == folder.name and str(folder.parent) not in str(describe)
    assert describe == TransformersJudge(str(folder), device="cuda").describe()  # where it runs says nothing
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    other = tmp_path / folder.name
    model.save_pretrained(other)
    for path in folder.iterdir():
        if not (other / path.name).exists():
            (other / path.name).write_bytes(path.read_bytes())
    changed = TransformersJudge(str(other)).describe()
    assert changed["model"] == describe["model"] and changed["weights"] != describe["weights"]
    assert TransformersJudge("some/model", revision="v1").describe()["weights"] == "v1"


def test_models_that_are_none_are_named(folder, tmp_path, monkeypatch):
    question = [Question("1", "match", MOTIONS["no"], TEXT)]
    with pytest.raises(ValueError, match="judge must be a vision-language model with a chat template") as caught:
        ask_all(TransformersJudge(str(tmp_path)), question)
    assert "\n" not in str(caught.value)
    mute = tmp_path / "mute"
    mute.mkdir()
    for path in folder.iterdir():
        if "chat_template" not in path.name:
            (mute / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="it has no chat template"):
        ask_all(TransformersJudge(str(mute), rendering=SHEET), question)
    with pytest.raises(ValueError, match="max_new_tokens must be a whole number"):
        TransformersJudge("some/model", max_new_tokens=0)
    with pytest.raises(ValueError, match="got 'no such model': "):
        ask_all(TransformersJudge("no such model"), question)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r'run: pip install "motionmillion\[demo\]"'):
        ask_all(TransformersJudge(str(folder)), question)


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is installed")
def test_a_missing_package_is_named_with_the_remedy(folder, tmp_path):
    for path in folder.glob("tokenizer*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Qwen2VLConfig().save_pretrained(tmp_path)
    parts = {"image_processor": {"image_processor_type": "Qwen2VLImageProcessor"}}
    parts["video_processor"] = {"video_processor_type": "Qwen2VLVideoProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "Qwen2VLProcessor", **parts}))
    image = {"processor_class": "Qwen2VLProcessor", **parts["image_processor"]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(image))
    judge = TransformersJudge(str(tmp_path), rendering=SHEET)
    with pytest.raises(ImportError, match=r'Torchvision.*run: pip install "motionmillion\[judge\]"') as caught:
        ask_all(judge, [Question("1", "match", MOTIONS["no"], TEXT)])
    assert "\n" not in str(caught.value)
