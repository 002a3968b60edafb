"""Which triangles of a moving mesh intersect each other?

    tree = CollisionTree(rest_vertices, faces)            # built once, from the mesh at rest
    tree.colliding(vertices)                              # [B, V, 3] -> pairs [M, 3]: mesh of the batch, two faces
    tree.percent(vertices)                                # [B], MBench's form

A tree of boxes over the faces is built once and refitted to the vertices of each frame; pairs of boxes are followed
from the root down, level by level, for many frames together. The remaining pairs are tested exactly, by separating
axes; touching triangles count. Triangles that share a vertex are never counted. Runs on the device of the vertices.

Why not a library: FCL (and trimesh with it) tests one mesh against another, and the CUDA extension that MBench uses
may not be redistributed.

Source: refitted hierarchies, van den Bergen (1997); separating axes, Gottschalk et al. (1996).

Shapes: B meshes, V vertices, F faces, M pairs.
"""

import torch
from torch import Tensor

MOST_A_FACE = 8
"""Maximum number of counted pairs per face of a mesh, as in MBench."""


class CollisionTree:
    """Boxes over the faces of a mesh whose vertices move.

    Args:
        vertices: `[V, 3]` of the mesh at rest; determines which faces share a box.
        faces: `[F, 3]` indices of vertices.

    Raises:
        ValueError: for wrong shapes, or an index without a vertex.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not bool(torch.isfinite(vertices).all()):
            raise ValueError(f"vertices must be finite and have shape [V, 3], got {tuple(vertices.shape)}")
        if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
            raise ValueError(f"faces must have shape [F, 3] with F > 0, got {tuple(faces.shape)}")
        if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
            raise ValueError(f"faces must name vertices 0 to {len(vertices) - 1}, got {int(faces.max())}")
        self.faces = faces.long()
        self.vertex_count = len(vertices)
        self.levels = (len(faces) - 1).bit_length()
        self.order = self._sort(vertices[self.faces].mean(1))

    def _sort(self, centres: Tensor) -> Tensor:
        """Face at each leaf `[2**levels]`, -1 for none: halved along the longest side, recursively."""
        count = len(centres)
        order = torch.arange(2**self.levels, device=centres.device)
        for level in range(self.levels):
            groups = order.view(2**level, -1)
            points = centres[groups.clamp(max=count - 1)]  # [groups, size, 3]
            axis = (points.amax(1) - points.amin(1)).argmax(-1)[:, None, None].expand(*groups.shape, 1)
            key = points.gather(2, axis)[..., 0]
            order = groups.gather(1, key.argsort(1)).view(-1)
        return torch.where(order < count, order, -1)

    def percent(self, vertices: Tensor) -> Tensor:
        """100 times the colliding pairs, at most eight per face, divided by the number of faces: `[B]`, float64."""
        pairs = self.colliding(vertices)
        count = torch.bincount(pairs[:, 0], minlength=len(vertices)).clamp(max=MOST_A_FACE * len(self.faces))
        return 100 * count.double() / len(self.faces)

    def colliding(self, vertices: Tensor) -> Tensor:
        """Colliding pairs `[M, 3]`, each once: index of the mesh and of two faces.

        Args:
            vertices: `[B, V, 3]`.

        Raises:
            ValueError: for a wrong shape or non-finite values.
        """
        if vertices.ndim != 3 or vertices.shape[1:] != (self.vertex_count, 3):
            raise ValueError(f"vertices must have shape [B, {self.vertex_count}, 3], got {tuple(vertices.shape)}")
        if not bool(torch.isfinite(vertices).all()):
            raise ValueError("vertices must be finite, got NaN or infinity")
        faces = self.faces.to(vertices.device)
        corners = vertices[:, faces]  # [B, F, 3, 3]
        mesh, first, second = self._near(corners)
        neighbours = (faces[first][:, :, None] == faces[second][:, None, :]).flatten(1).any(1)
        mesh, first, second = (index[~neighbours] for index in (mesh, first, second))
        hit = triangles_meet(corners[mesh, first], corners[mesh, second])
        return torch.stack([mesh, first, second], dim=1)[hit]

    def _near(self, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mesh and faces of all pairs with overlapping boxes, each pair once."""
        boxes = self._boxes(corners)
        mesh = torch.arange(len(corners), device=corners.device)
        a = b = torch.zeros_like(mesh)
        for level in range(1, self.levels + 1):
            same = a == b
            # children of a pair: four, or three of a box with itself
            left = torch.cat([2 * a, 2 * a, 2 * a + 1, 2 * a[~same] + 1])
            right = torch.cat([2 * b, 2 * b + 1, 2 * b + 1, 2 * b[~same]])
            mesh = torch.cat([mesh, mesh, mesh, mesh[~same]])
            rows = mesh * 2**level
            gap = boxes[level].index_select(0, rows + left)  # lower minus upper corners, in both directions
            gap += boxes[level].roll(3, 1).index_select(0, rows + right)
            keep = gap.amax(1) <= 0
            mesh, a, b = mesh[keep], left[keep], right[keep]
        order = self.order.to(corners.device)
        different = a != b
        return mesh[different], order[a[different]], order[b[different]]

    def _boxes(self, corners: Tensor) -> list[Tensor]:
        """Boxes of each level `[B * 2**level, 6]`: lower corner, negated upper one; empty boxes overlap nothing."""
        order = self.order.to(corners.device)
        levels = [torch.cat([corners.amin(2), -corners.amax(2)], dim=-1)[:, order]]
        levels[0].masked_fill_((order < 0)[:, None], torch.inf)
        for _ in range(self.levels):
            levels.append(levels[-1].unflatten(1, (-1, 2)).amin(2))
        return [boxes.flatten(0, 1) for boxes in levels[::-1]]


def triangles_meet(first: Tensor, second: Tensor) -> Tensor:
    """Whether triangles `[M, 3, 3]` (corner, coordinate) have a common point, bool `[M]`; also for degenerate ones."""
    edges, others = (t.roll(-1, 1) - t for t in (first, second))  # [M, 3, 3]
    normal, other_normal = (torch.linalg.cross(e[:, 0], e[:, 1]) for e in (edges, others))
    meet = _overlap(torch.stack([normal, other_normal], dim=1), first, second)
    rows = meet.nonzero()[:, 0]  # most pairs are decided here
    first, second, edges, others = first[rows], second[rows], edges[rows], others[rows]
    normals = normal[rows, None].expand(-1, 3, 3), other_normal[rows, None].expand(-1, 3, 3)
    across = torch.linalg.cross(edges[:, :, None].expand(-1, 3, 3, 3), others[:, None].expand(-1, 3, 3, 3))
    within = [torch.linalg.cross(n, e) for n, e in zip(normals, (edges, others), strict=True)]  # if coplanar
    meet[rows] = _overlap(torch.cat([across.flatten(1, 2), *within], dim=1), first, second)
    return meet


def _overlap(axes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Whether the projections of triangles on all axes `[M, A, 3]` overlap, bool `[M]`."""
    shadow, other = axes @ first.mT, axes @ second.mT  # [M, A, 3]
    low, high = torch.maximum(shadow.amin(-1), other.amin(-1)), torch.minimum(shadow.amax(-1), other.amax(-1))
    return (low <= high).all(1)
