"""A glTF file in one piece, whatever files it consists of, and the bytes of a `.glb` file.

    content, binary = in_one_piece(GltfFile(Path("hero.gltf")))      # with hero.bin and its pictures
    Path("hero.glb").write_bytes(pack(content, binary))

Unusual: a `.glb` file without files beside it keeps its binary part byte for byte.
"""

import json
import struct
from typing import Any
from urllib.parse import unquote

from motionmillion.io.gltf_nodes import GltfError, GltfFile

_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def in_one_piece(file: GltfFile) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary part of a file with all buffers and pictures in them.

    Raises:
        ValueError: for a buffer or a picture that is missing, lies elsewhere or is of another kind.
    """
    content: dict[str, Any] = json.loads(json.dumps(file.json))
    buffers = content.get("buffers", [])
    outside = [image for image in content.get("images", []) if not image.get("uri", "data:").startswith("data:")]
    if not outside and [buffer.get("uri") for buffer in buffers] in ([], [None]):
        return content, file.binary or b""
    data, starts = bytearray(), []
    for number in range(len(buffers)):
        starts.append(_add(data, file.buffer(number)))
    views = content.setdefault("bufferViews", [])
    for view in views:
        view["byteOffset"] = view.get("byteOffset", 0) + starts[view["buffer"]]
        view["buffer"] = 0
    for image in outside:
        name = unquote(image.pop("uri"))
        kind = _PICTURES.get("." + name.rsplit(".", 1)[-1].lower())
        if kind is None:
            raise GltfError(f"pictures of {str(file.path)!r} must be PNG, JPEG or WebP, got {name[:80]!r}")
        picture = file.beside(name)
        views.append({"buffer": 0, "byteOffset": _add(data, picture), "byteLength": len(picture)})
        image.update(bufferView=len(views) - 1, mimeType=kind)
    content["buffers"] = [{"byteLength": len(data)}]
    return content, bytes(data)


def pack(content: dict[str, Any], binary: bytes) -> bytes:
    """The bytes of a `.glb` file."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _add(data: bytearray, piece: bytes) -> int:
    """Append bytes at a multiple of 4; returns where they begin."""
    data += bytes(-len(data) % 4)
    start = len(data)
    data += piece
    return start
