"""Finding the four limbs of a tree of joints, by names where they are known and by structure where they are not.

    body = Tree(names, parents, rest)
    limbs = find_limbs(body, {"left_hip": 4})      # {"left_hip": 4, "left_knee": 5, ..., "right_wrist": 31}

A limb is the chain of joints that fits the names best, in order from the trunk to the tip: so `LeftLeg` is the shin
below `LeftUpLeg`, but the thigh above `LeftShin`. Where names do not say enough, the legs and arms are the two pairs
of branches of equal length that make the largest body, and upper and lower limb are the two longest bones in a row.
Sides come from names, else from the other limbs, else from the direction of the feet.

Unusual: a limb that stays uncertain is left out, and the caller names it in an error.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from motionmillion.kinematics.joint_words import ARM, LEG, read_names

SIDES = ("left", "right")
_LIMBS = {"leg": (LEG, LEG[:3], "foot"), "arm": (ARM, ARM[1:], "collar")}
"""Parts from the trunk to the tip, those that must be found, and the one that may be missing."""
_UNKNOWN, _MISMATCH, _HELPER, _GIVEN = 0.25, -1.0, -2.0, 100.0
_COINCIDENT = -1.5
_NEAR = 1e-4
_LONG_PATH = 48
_SIMILAR = 0.25
_PAIRS = 60
_WIDEST = 12
_NAMED_BONUS = 10.0


class Tree:
    """Names, parents and rest positions of all joints, End Sites included.

    Args:
        names: End Sites are called `<parent> end`.
        parents: index of each joint's parent, -1 for the root; parents come first.
        rest: joint positions `[N, 3]` of the rest pose in any unit; None if unknown.
    """

    def __init__(self, names: Sequence[str], parents: Sequence[int], rest: np.ndarray | None = None) -> None:
        self.names, self.parents = list(names), list(parents)
        self.labels = read_names(names)
        self.sites = [name.endswith(" end") for name in names]
        self.children: list[list[int]] = [[] for _ in names]
        self.depths = [0] * len(names)
        for joint, parent in enumerate(parents):
            if parent >= 0:
                self.children[parent].append(joint)
                self.depths[joint] = self.depths[parent] + 1
        self.rest = None if rest is None or not np.isfinite(rest).all() else np.asarray(rest, float)
        self.size = 1.0 if self.rest is None else float(np.ptp(self.rest, axis=0).max())
        self._points = [] if self.rest is None else self.rest.tolist()

    def ancestry(self, joint: int) -> list[int]:
        """A joint, its parent, and so on up to the root."""
        chain = []
        while joint >= 0:
            chain.append(joint)
            joint = self.parents[joint]
        return chain

    def distance(self, one: int, other: int) -> float:
        """Distance in the rest pose as a fraction of the body's size; 1 if unknown."""
        if self.rest is None or self.size <= 0:
            return 1.0
        return math.dist(self._points[one], self._points[other]) / self.size

    def usable(self, joint: int) -> bool:
        """Whether a joint may be a part of the body: no finger, no hair, no helper and no End Site."""
        label = self.labels[joint]
        return not (label.helper or label.other or self.sites[joint])

    def lengths(self) -> list[float]:
        """Length of the longest chain from each joint's parent down through it; bones count 1 without rest pose."""
        longest = [0.0] * len(self.names)
        for joint in range(len(self.names) - 1, 0, -1):
            parent = self.parents[joint]
            below = max((longest[child] for child in self.children[joint]), default=0.0)
            longest[joint] = 0.0 if self.labels[joint].other else below + self.distance(joint, parent)
        return longest

    def subtree(self, joint: int) -> list[int]:
        """A joint and all below it."""
        found = [joint]
        for inner in found:
            found += self.children[inner]
        return found


def find_limbs(tree: Tree, given: Mapping[str, int]) -> dict[str, int]:
    """Joints of legs and arms, with SMPL22's names; a limb is complete or, where it is uncertain, absent."""
    found: dict[str, int] = {}
    for limb, side in itertools.product(_LIMBS, SIDES):
        found.update(_by_name(tree, limb, side, given))
    if not all(f"{side}_{part}" in found for side in SIDES for part in ("knee", "elbow")):
        for limb, side, joints in _by_structure(tree, found, given):
            if f"{side}_{_LIMBS[limb][1][0]}" not in found:
                found.update(joints)
    for side in SIDES:
        _add_foot(tree, side, found)
    return found


def _by_name(tree: Tree, limb: str, side: str, given: Mapping[str, int]) -> dict[str, int]:
    """The chain of joints whose names fit best; {} if less than two of its joints are named or given."""
    parts, needed, _ = _LIMBS[limb]
    fixed = {part: given[f"{side}_{part}"] for part in parts if f"{side}_{part}" in given}
    named = {j for j, label in enumerate(tree.labels) if label.side == side and label.limb(parts) and not label.helper}
    named |= set(fixed.values())
    if len(named) < 2:
        return {}
    ends = named | {child for joint in named for child in tree.children[joint]}
    # a longer path holds all chains of a shorter one
    ends -= {above for end in ends for above in tree.ancestry(end)[1:]}
    best, best_score = {}, -np.inf
    for end in sorted(ends):
        chain, score = _best_chain(tree, tree.ancestry(end)[::-1], limb, side, fixed, named)
        if score > best_score + 1e-9:
            best, best_score = chain, score
    known = sum(best.get(part) in named for part in needed)
    return {f"{side}_{part}": joint for part, joint in best.items()} if known >= 2 else {}


def _best_chain(
    tree: Tree, path: list[int], limb: str, side: str, fixed: Mapping[str, int], named: set[int]
) -> tuple[dict[str, int], float]:
    """The best joints of `path`, listed from the root, for the parts of a limb, in order; and their score."""
    parts, _, optional = _LIMBS[limb]
    if len(path) > _LONG_PATH:
        path = [joint for joint in path if joint in named][-_LONG_PATH:]
    # states[k]: best (score, chain) whose last joint is path[k]
    states: list[tuple[float, dict[str, int]]] = [(0.0, {})] * len(path)
    done: list[tuple[float, dict[str, int]]] = []
    for slot, part in enumerate(parts):
        following: list[tuple[float, dict[str, int]]] = []
        for place, joint in enumerate(path):
            before = [(0.0, {})] if slot == 0 else list(states[:place])
            if slot and parts[slot - 1] == optional:
                before.append((0.0, {}))  # without a collar
            own = _score(tree, joint, part, side, fixed) - 1e-3 * place
            options = [(s + own + _gap(tree, chain, joint), chain) for s, chain in before if s > -np.inf]
            score, chain = max(options, key=lambda option: option[0], default=(-np.inf, {}))
            following.append((score, {**chain, part: joint}))
        if part == optional and slot:
            done += states  # without a toe
        states = following
    score, chain = max(done + states, key=lambda option: option[0], default=(-np.inf, {}))
    return (chain, score) if score > -np.inf else ({}, score)


def _score(tree: Tree, joint: int, part: str, side: str, fixed: Mapping[str, int]) -> float:
    """How well a joint's name fits a part of a limb."""
    if fixed.get(part, joint) != joint or joint in fixed.values():
        return _GIVEN if fixed.get(part) == joint else -np.inf
    label = tree.labels[joint]
    if label.other or label.side not in ("", side):
        return -np.inf
    if tree.sites[joint]:
        return _UNKNOWN / 2 if part == "wrist" else -np.inf
    worth = label.parts.get(part, _MISMATCH if label.parts else _UNKNOWN)
    if not label.side:
        worth = min(worth, worth * 0.5)
    return worth * 0.2 + _HELPER if label.helper else worth + 0.02 * (_near_parent(tree, joint))


def _near_parent(tree: Tree, joint: int) -> bool:
    """Of two joints at one point the lower one turns with both."""
    return tree.parents[joint] >= 0 and tree.distance(joint, tree.parents[joint]) < _NEAR


def _gap(tree: Tree, chain: Mapping[str, int], joint: int) -> float:
    """A bone without length is unlikely."""
    above = list(chain.values())[-1] if chain else None
    return 0.0 if above is None or tree.distance(above, joint) > _NEAR else _COINCIDENT


def _add_foot(tree: Tree, side: str, found: dict[str, int]) -> None:
    """Take the joint below an ankle, or its End Site, where no toe is named."""
    ankle = found.get(f"{side}_ankle")
    if ankle is None or f"{side}_foot" in found or tree.sites[ankle]:
        return
    below, inner = [ankle], []
    while below and not inner:
        below = [child for joint in below for child in tree.children[joint] if not tree.labels[child].other]
        inner = [j for j in below if tree.usable(j) and (not tree.labels[j].parts or "foot" in tree.labels[j].parts)]
    inner = inner or [child for child in tree.children[ankle] if tree.sites[child]]
    if inner:
        found[f"{side}_foot"] = inner[0]


def _by_structure(
    tree: Tree, found: Mapping[str, int], given: Mapping[str, int]
) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Both legs and both arms as the two pairs of branches that make the largest body; nothing if that is unclear."""
    known = {**found, **given}
    legs, arms = _two_pairs(tree, known)
    if legs is None or arms is None:
        return
    chains = {
        limb: [_long_bones(tree, branch, limb, known) for branch in pair]
        for limb, pair in (("leg", legs), ("arm", arms))
    }
    if not all(chain for pair in chains.values() for chain in pair):
        return
    left = _left(tree, chains, known)
    # sides of one pair give those of the other
    for limb in sorted(chains, key=lambda limb: not _order(tree, chains[limb], None, known)):
        order = _order(tree, chains[limb], left, known)
        sided = dict(zip(order, chains[limb], strict=False))
        for side, chain in sided.items():
            yield limb, side, {f"{side}_{part}": joint for part, joint in chain.items()}
        if left is None and sided and tree.rest is not None:
            start = _LIMBS[limb][1][0]
            left = tree.rest[sided["left"][start]] - tree.rest[sided["right"][start]]


def _two_pairs(tree: Tree, known: Mapping[str, int]) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The pair of branches of the legs and that of the arms."""
    lengths = tree.lengths()
    pairs: list[tuple[float, int, int, int]] = []
    for joint, children in enumerate(tree.children):
        long = sorted((c for c in children if not tree.sites[c]), key=lambda c: -lengths[c])[:_WIDEST]
        for one, other in itertools.combinations(long, 2):
            short, longer = sorted((lengths[one], lengths[other]))
            if short > 0 and np.log(longer / short) < _SIMILAR:
                pairs.append((short, joint, one, other))
    pairs = sorted(pairs, reverse=True)[:_PAIRS]
    inside = [frozenset([*tree.subtree(one), *tree.subtree(other)]) for _, _, one, other in pairs]
    votes = [tuple(_votes(tree, joints, limb, known) for limb in _LIMBS) for joints in inside]
    best, chosen = 0.0, (None, None)
    for a, b in itertools.permutations(range(len(pairs)), 2):
        # branches are apart or within each other
        if not inside[a].isdisjoint(pairs[b][1:]) or not inside[b].isdisjoint(pairs[a][1:]):
            continue
        named = votes[a][0] - votes[a][1] + votes[b][1] - votes[b][0]
        if named == 0 and tree.depths[pairs[a][1]] >= tree.depths[pairs[b][1]]:
            continue  # without names, legs are the pair nearer to the root
        score = pairs[a][0] + pairs[b][0] + _NAMED_BONUS * named
        if score > best + 1e-9:
            best, chosen = score, ((pairs[a][2], pairs[a][3]), (pairs[b][2], pairs[b][3]))
    return chosen


def _votes(tree: Tree, joints: frozenset[int], limb: str, known: Mapping[str, int]) -> int:
    """1 if branches hold joints of a limb by name, 0 if not."""
    parts = _LIMBS[limb][1]
    if any(known.get(f"{side}_{part}") in joints for side in SIDES for part in parts):
        return 1
    return int(any(tree.labels[joint].limb(parts) > 1.0 and tree.usable(joint) for joint in joints))


def _long_bones(tree: Tree, branch: int, limb: str, known: Mapping[str, int]) -> dict[str, int]:
    """The three joints of the two longest bones in a row below `branch`, and the collar before an arm."""
    parts = _LIMBS[limb][1]
    inside = set(tree.subtree(branch))
    fixed = {
        part: known[f"{side}_{part}"] for part in parts for side in SIDES if known.get(f"{side}_{part}") in inside
    }
    best, chosen = 0.0, []
    lengths = tree.lengths()
    # the chain of longest branches; helpers and joints at the place of the one below are skipped
    path, joint = [], branch
    while True:
        path.append(joint)
        wanted = [c for c in tree.children[joint] if any(j in tree.subtree(c) for j in fixed.values())]
        below = wanted or tree.children[joint]
        if not below:
            break
        joint = max(below, key=lambda c: lengths[c])
    chain = [j for j, nxt in zip(path, [*path[1:], None], strict=True) if _stays(tree, j, nxt, fixed)]
    for triple in zip(chain, chain[1:], chain[2:], strict=False):
        if any(triple[parts.index(part)] != joint for part, joint in fixed.items()):
            continue
        shorter = min(tree.distance(triple[0], triple[1]), tree.distance(triple[1], triple[2]))
        if shorter > best + 1e-9:
            best, chosen = shorter, list(triple)
    return dict(zip(parts, chosen, strict=False))


def _stays(tree: Tree, joint: int, below: int | None, fixed: Mapping[str, int]) -> bool:
    if joint in fixed.values():
        return True
    coincident = below is not None and not tree.sites[below] and tree.distance(joint, below) < _NEAR
    return (
        not coincident and not (tree.labels[joint].helper and not tree.sites[joint]) and not tree.labels[joint].other
    )


def _left(tree: Tree, chains: Mapping[str, list[dict[str, int]]], known: Mapping[str, int]) -> np.ndarray | None:
    """The direction of the body's left in the rest pose: from joints with known sides, else from the feet."""
    if tree.rest is None:
        return None
    for part in ("hip", "shoulder", "knee", "elbow", "ankle", "wrist"):
        if f"left_{part}" in known and f"right_{part}" in known:
            return tree.rest[known[f"left_{part}"]] - tree.rest[known[f"right_{part}"]]
    hips, ankles, shoulders = (
        [tree.rest[chain[part]] for chain in chains[limb]]
        for limb, part in (("leg", "hip"), ("leg", "ankle"), ("arm", "shoulder"))
    )
    up = np.mean(shoulders, 0) - np.mean(hips, 0)
    tips = [
        max((tree.rest[j] for j in tree.subtree(chain["ankle"])), key=lambda p: float(np.linalg.norm(p - ankle)))
        for chain, ankle in zip(chains["leg"], ankles, strict=True)
    ]
    forward = np.mean(tips, 0) - np.mean(ankles, 0)
    forward = forward - up * (forward @ up) / max(float(up @ up), 1e-12)
    if np.linalg.norm(forward) < 0.02 * tree.size:
        return None
    return np.cross(up, forward)


def _order(
    tree: Tree, pair: list[dict[str, int]], left: np.ndarray | None, known: Mapping[str, int]
) -> tuple[str, ...]:
    """Sides of a pair of chains; () if they are unclear."""
    votes = [0, 0]
    for place, chain in enumerate(pair):
        joints = set(chain.values())
        for side, sign in zip(SIDES, (1, -1), strict=True):
            if any(name.startswith(side) and joint in joints for name, joint in known.items()):
                votes[place] += 100 * sign
            votes[place] += sign * sum(tree.labels[joint].side == side for joint in joints)
    if votes[0] == votes[1] and left is not None and tree.rest is not None:
        for part in next(iter(pair)):
            across = float((tree.rest[pair[0][part]] - tree.rest[pair[1][part]]) @ left)
            if abs(across) > _NEAR * tree.size * float(np.linalg.norm(left)):
                votes[0] += 1 if across > 0 else -1
                break
    return () if votes[0] == votes[1] else (SIDES if votes[0] > votes[1] else SIDES[::-1])
