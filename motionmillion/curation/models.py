"""The models that find and follow people, of transformers: Grounding DINO and SAM 2.

    finder = Finder("IDEA-Research/grounding-dino-tiny", "cuda")
    boxes = finder(picture, size=800)                        # [N, 5], the most confident first
    follower = Follower("facebook/sam2.1-hiera-small", "cuda")
    tracks = follower(pictures, frame=30, boxes=boxes)       # [N, T, 4], NaN where a person is not seen

Models are loaded from the hub or a folder, safetensors only. Unusual: SAM 2's own processors need torchvision, so
pictures are resized and normalised here.

Shapes: N boxes, T frames, H and W pixels, S side of SAM 2's pictures.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionmillion.checkpoints import quiet_transformers
from motionmillion.curation.boxes import without_doubles

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Finder:
    """Finds what a text says, by Grounding DINO.

    Args:
        model: hub id or folder.
        prompt: what to find: words in lower case with a full stop.
    """

    def __init__(self, model: str, device: str = "cpu", prompt: str = "a person.") -> None:
        from transformers import AutoTokenizer, GroundingDinoForObjectDetection, GroundingDinoImageProcessorPil

        self.device, self.prompt = device, prompt
        with quiet_transformers(), _clear_errors("detector", model):
            self.tokenizer = AutoTokenizer.from_pretrained(model)
            self.network = GroundingDinoForObjectDetection.from_pretrained(model, use_safetensors=True)
        self.network.eval().to(device)  # type: ignore[arg-type]
        self.processor = GroundingDinoImageProcessorPil()

    @torch.no_grad()
    def __call__(self, picture: np.ndarray, size: int = 800) -> np.ndarray:
        """Boxes `[N, 5]` in a picture `[H, W, 3]`, the most confident first.

        Args:
            size: shorter side to which the picture is resized.
        """
        given = self.processor(
            picture, size={"shortest_edge": size, "longest_edge": 5 * size // 3}, return_tensors="pt"
        )
        words = self.tokenizer([self.prompt], return_tensors="pt")
        out = self.network(**given.to(self.device), **words.to(self.device))
        scores = out.logits[0].sigmoid().amax(-1)  # [queries]
        centre, extent = out.pred_boxes[0, :, :2], out.pred_boxes[0, :, 2:]  # fractions of the sides
        corners = torch.cat([centre - extent / 2, centre + extent / 2], 1).clamp(0, 1)
        height, width = picture.shape[:2]
        pixels = corners * corners.new_tensor([width, height, width, height])
        return without_doubles(torch.cat([pixels, scores[:, None]], 1).double().cpu().numpy())


class Follower:
    """Follows people through a shot, by the masks of SAM 2."""

    def __init__(self, model: str, device: str = "cpu") -> None:
        from transformers import Sam2VideoModel

        self.device = device
        with quiet_transformers(), _clear_errors("tracker", model):
            self.network = Sam2VideoModel.from_pretrained(model, use_safetensors=True)
        self.network.eval().to(device)  # type: ignore[arg-type]
        self.side: int = self.network.config.image_size  # type: ignore[assignment]

    @torch.no_grad()
    def __call__(self, pictures: Sequence[np.ndarray], frame: int, boxes: np.ndarray) -> np.ndarray:
        """Boxes around the masks `[N, T, 4]`, NaN where a person is not seen.

        Args:
            pictures: T pictures `[H, W, 3]` of a shot.
            frame: where the people are known.
            boxes: `[N, 4+]` of the people in that frame.
        """
        height, width = pictures[0].shape[:2]
        found = np.full((len(boxes), len(pictures), 4), np.nan)
        video = torch.stack([self._prepared(picture) for picture in pictures])
        for reverse in (False, True):
            session = self._session(video, height, width, frame, boxes)
            self.network(inference_session=session, frame_idx=frame)
            steps = self.network.propagate_in_video_iterator(session, start_frame_idx=frame, reverse=reverse)
            for step in steps:
                masks: Any = step.pred_masks  # [N, 1, S / 4, S / 4]
                for number, mask in enumerate(masks[:, 0]):
                    found[number, step.frame_idx] = _box_of(mask > 0, height, width)
        return found

    def _prepared(self, picture: np.ndarray) -> Tensor:
        """A picture `[3, S, S]` as SAM 2 expects it."""
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        shape = (self.side, self.side)
        values = torch.nn.functional.interpolate(values, shape, mode="bilinear", antialias=True)[0]
        return (values - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_STD)[:, None, None]

    def _session(self, video: Tensor, height: int, width: int, frame: int, boxes: np.ndarray) -> Any:
        from transformers import Sam2VideoInferenceSession, Sam2VideoProcessor

        session = Sam2VideoInferenceSession(
            video=video,
            video_height=height,
            video_width=width,
            inference_device=self.device,
            dtype=self.network.dtype,
        )
        # only the part of the processor that writes boxes into a session, which needs no torchvision
        processor = object.__new__(Sam2VideoProcessor)
        processor.target_size, processor.point_pad_value = self.side, -10
        processor.add_inputs_to_inference_session(
            inference_session=session,
            frame_idx=frame,
            obj_ids=list(range(1, len(boxes) + 1)),
            input_boxes=[boxes[:, :4].tolist()],
        )
        return session


def _box_of(mask: Tensor, height: int, width: int) -> tuple[float, float, float, float]:
    """The box around a mask `[h, w]` in pixels of the video; NaN for an empty one."""
    rows, columns = (mask.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    if not rows:
        return np.nan, np.nan, np.nan, np.nan
    across, down = width / mask.shape[1], height / mask.shape[0]
    return columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down


class _clear_errors:
    """Says in one line that a model is not there."""

    def __init__(self, purpose: str, model: str) -> None:
        self.purpose, self.model = purpose, model

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | ValueError):
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{self.purpose} must be a model in a folder or on the hub, got {self.model!r}: {reason}")
