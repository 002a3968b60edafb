"""Grounding DINO and SAM 2: the real classes at tiny size with random weights, alone and in the stage."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    PreTrainedTokenizerFast,
    Sam2VideoConfig,
    Sam2VideoModel,
    SwinConfig,
)

from motionmillion.curation.clips import Clip
from motionmillion.curation.models import Finder, Follower
from motionmillion.curation.people import People, PeopleOptions
from motionmillion.curation.video import Video

SIDE = 128


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=224,
        embed_dim=12,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=7,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = dict(model_type="bert", hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config={**text, "vocab_size": 200},
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=12,
        decoder_n_points=2,
        encoder_n_points=2,
    )
    folder = tmp_path_factory.mktemp("detector")
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    words = {"[PAD]": 0, "[UNK]": 1, "a": 2, "person": 3, ".": 4, "[CLS]": 101, "[SEP]": 102}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory) -> str:
    torch.manual_seed(0)
    backbone = dict(
        model_type="sam2_hiera_det_model",
        hidden_size=12,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[12, 24, 48, 96],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[4, 2, 4, 2],
        query_stride=[2, 2],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
        num_query_pool_stages=3,
    )
    vision = dict(
        model_type="sam2_vision_model",
        backbone_config=backbone,
        backbone_channel_list=[96, 48, 24, 12],
        fpn_hidden_size=128,
        backbone_feature_sizes=[[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=dict(hidden_size=128, image_size=SIDE, patch_size=16),
        mask_decoder_config=dict(hidden_size=128, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32),
        image_size=SIDE,
        memory_attention_hidden_size=128,
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        memory_attention_num_layers=1,
        memory_attention_num_attention_heads=1,
        memory_attention_feed_forward_hidden_size=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=128,
        memory_fuser_num_layers=1,
        mask_downsampler_embed_dim=128,
        memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
    )
    folder = tmp_path_factory.mktemp("tracker")
    Sam2VideoModel(config).save_pretrained(folder)
    return str(folder)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (60, 80, 3)).astype(np.uint8)


def test_boxes_are_those_of_the_network(detector):
    finder = Finder(detector)
    boxes = finder(picture(), size=64)
    assert boxes.shape[1] == 5 and len(boxes) >= 1
    assert (np.diff(boxes[:, 4]) <= 0).all() and (boxes[:, 4] > 0).all()
    assert (boxes[:, :4] >= 0).all() and (boxes[:, [0, 2]] <= 80).all() and (boxes[:, [1, 3]] <= 60).all()
    # the same boxes by transformers' own way
    given = finder.processor(picture(), size={"shortest_edge": 64, "longest_edge": 106}, return_tensors="pt")
    words = finder.tokenizer(["a person."], return_tensors="pt")
    with torch.no_grad():
        out = finder.network(**given, **words)
    best = out.logits[0].sigmoid().amax(-1)
    assert boxes[0, 4] == pytest.approx(float(best.max()))
    centre_x, centre_y, width, height = out.pred_boxes[0, int(best.argmax())].tolist()
    edges = np.array([centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2])
    assert np.allclose(boxes[0, :4], edges.clip(0, 1) * [80, 60, 80, 60], atol=1e-3)


def test_people_are_followed_both_ways(tracker):
    follower = Follower(tracker)
    boxes = np.array([[10.0, 10, 40, 50, 0.9], [45, 10, 75, 55, 0.8]])
    found = follower([picture(number) for number in range(4)], 2, boxes)
    assert found.shape == (2, 4, 4)
    seen = found[np.isfinite(found[..., 0])]
    assert len(seen) and (seen >= 0).all() and (seen[:, 2] <= 80).all() and (seen[:, 3] <= 60).all()
    alone = follower([picture(number) for number in range(4)], 2, boxes[:1])
    assert np.isfinite(alone).any()


def test_the_stage_runs_with_real_classes(detector, tracker, filmed, tmp_path):
    video = Video.open(filmed.video)
    small = dict(detector=detector, tracker=tracker, device="cpu", every=5, coarse_size=96, fine_size=128, most=2)
    clip = Clip(video.key, 0, 8, video.fps)
    verdict = People(PeopleOptions(**small, coarse=0.0, fine=0.0), tmp_path)(video, [clip])
    assert 1 <= len(verdict.kept) <= 2 and not verdict.dropped
    for person, kept in enumerate(verdict.kept, 1):
        assert kept.person == person and kept.box_array().shape == (8, 5) and np.isfinite(kept.box_array()).all()
    verdict = People(PeopleOptions(**small, coarse=1.0, fine=1.0), tmp_path)(video, [clip])
    assert not verdict.kept and verdict.dropped[0].reason == "no person"


def test_models_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match="detector must be a model in a folder or on the hub, got"):
        Finder(str(tmp_path))
    with pytest.raises(ValueError, match="tracker must be a model in a folder or on the hub, got"):
        Follower(str(tmp_path))
