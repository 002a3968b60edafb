"""Phrases for one event, from the plainest to the most detailed.

Verbs are in brackets, see `motionmillion.data.describing.words`. Events that cannot be worded well have no phrases.
"""

from motionmillion.data.describing.facts import (
    ArmsOut,
    Balance,
    Bend,
    Clap,
    Event,
    HandRaise,
    HandsOnHips,
    Jump,
    Kick,
    KneeLift,
    LegRaise,
    Lunge,
    PostureChange,
    Punch,
    Squat,
    Stop,
    Travel,
    Turn,
    Wave,
)
from motionmillion.data.describing.words import number, times

_LEVELS = {"shoulder": "to the height of the shoulder", "head": "to the height of the head", "above the head": ""}
_PACES = {"slow": " slowly", "fast": " quickly"}
_METRES = 0.25
"""Maximum rounding error, metres, for a path length to be given in whole metres."""
_HALF_TURN = 135.0
"""Degrees above which a turn is called "turn around"."""
_SPIN = 300.0
"""Degrees above which a turn that is no full circle is a spin: the body may go round several times."""


def phrases(event: Event) -> list[str]:
    """Ways to say an event."""
    return list(dict.fromkeys(_SAY[type(event)](event)))


def _travel(event: Travel) -> list[str]:
    verb = f"[{event.gait or 'move'}]"
    pace = _PACES.get(event.pace or "", "")
    metres = round(event.distance)
    far = event.distance >= 0.75 and abs(event.distance - metres) < _METRES
    unit = "metre" if metres == 1 else "metres"
    if event.direction in ("left", "right"):
        side = event.direction
        plain = [f"[step] sideways to the {side}", f"[sidestep] to the {side}", f"[move] sideways to the {side}"]
        plain += [f"[go] sideways to the {side}", "[step] sideways", "[move] sideways", f"[shuffle] to the {side}"]
        plain += [f"[step]{pace} sideways to the {side}"] if pace else []
    else:
        way = event.direction
        plain = [f"{verb} {way}", f"{verb} {'ahead' if way == 'forward' else 'backwards'}"]
        plain += ["[go] forward" if way == "forward" else "[back] away"] if event.gait == "walk" else []
        if event.curve:
            bend = "in a curve" if way == "forward" else "while turning"
            plain = [f"{verb} {way} {bend} to the {event.curve}", *plain]
            if way == "forward":
                plain = [plain[0], f"{verb} ahead, curving to the {event.curve}", *plain[1:]]
        plain += [f"{verb} {way} at a {event.pace} pace", f"{verb}{pace} {way}"] if pace else []
    if event.steps:
        steps = f"[take] {number(event.steps)} steps "
        plain.append(
            steps + (f"to the {event.direction}" if event.direction in ("left", "right") else event.direction)
        )
    if far and event.direction in ("forward", "backward") and not event.curve:
        plain.append(f"{verb}{pace} {event.direction} for about {number(metres)} {unit}")
    return plain


def _turn(event: Turn) -> list[str]:
    side = f"to the {event.side}"
    where = " on the spot" if event.moving is False else ""
    around = event.angle > _HALF_TURN
    plain = {
        45: [f"[turn] slightly {side}", f"[turn] 45 degrees {side}"],
        90: [
            f"[turn] {event.side}",
            f"[turn] {side}",
            f"[make] a quarter turn {side}",
            f"[turn] {side} by 90 degrees",
            "[make] a quarter turn",
            f"[rotate] 90 degrees {side}",
        ],
        180: [
            f"[turn] around {side}",
            f"[make] a half turn {side}",
            "[turn] around",
            "[make] a half turn",
            f"[turn] 180 degrees {side}",
        ],
        270: [
            f"[turn] around {side}",
            "[turn] around",
            f"[make] three quarters of a turn {side}",
            f"[turn] {side} by 270 degrees",
        ],
        360: [f"[turn] in a full circle {side}", f"[make] a full turn {side}", f"[turn] 360 degrees {side}"],
    }.get(event.degrees or 0)
    if plain is None and event.angle > _SPIN:
        plain = [f"[spin] {side}", f"[spin] around {side}", f"[turn] round and round {side}"]
    elif plain is None:
        plain = [f"[turn] around {side}", "[turn] around"] if around else [f"[turn] {side}", f"[turn] {event.side}"]
    return [*plain, *([plain[0] + where, plain[-1] + where] if where else [])]


def _stop(event: Stop) -> list[str]:
    return ["[stop]", "[come] to a stop", "[stop] and [stand] still"]


def _jump(event: Jump) -> list[str]:
    ways = {
        "up": " up",
        "forward": " forward",
        "backward": " backward",
        "left": " to the left",
        "right": " to the right",
    }
    way = ways.get(event.direction or "", "")
    often = f" {times(event.count)}" if event.count > 1 else ""
    if event.feet in ("left", "right"):
        foot = f"on the {event.feet} foot"
        hop = f"[hop]{way if way != ' up' else ''}"
        return [f"[hop] {foot}", f"{hop} {foot}", "[hop] on one foot", "[hop] on one leg", f"[hop] {foot}{often}"]
    if event.feet is None:
        return [f"[leap]{way}", f"[leap]{way}{often}"]
    plain = [f"[jump]{way}", f"[jump]{way}{often}", f"[jump]{way} with both feet{often}", f"[leap]{way}{often}"]
    if event.height == "high":
        plain.append(f"[jump] high{way if way != ' up' else ' into the air'}{often}")
    if event.height == "low" and event.count == 1:
        plain.append(f"[make] a small jump{way}")
    return plain


def _raise(event: HandRaise) -> list[str]:
    one = event.side != "both"
    hand, arm = (f"the {event.side} hand", f"the {event.side} arm") if one else ("both hands", "both arms")
    if event.level == "chest":
        plain = [f"[lift] {hand} to the height of the chest", f"[bring] {hand} up to chest height"]
    elif event.level == "above the head":
        plain = [f"[raise] {hand}", f"[raise] {arm}", f"[lift] {hand} above the head", f"[raise] {arm} overhead"]
        plain += [f"[reach] up with {hand}", f"[stretch] {arm} up"]
    else:
        plain = [f"[raise] {hand}", f"[lift] {arm}", f"[lift] {hand}", f"[put] {hand} up"]
        if event.level:
            plain.append(
                f"[raise] {hand} {_LEVELS[event.level]}" + ("s" if event.level == "shoulder" and not one else "")
            )
    if not event.begun:
        level = " above the head" if event.level == "above the head" else ""
        plain = [f"[hold] {hand} up", f"[hold] {arm} raised", f"[hold] {hand} up{level}", f"[keep] {arm} up"]
        return [*plain, *(["[hold] a hand up", "[keep] an arm up"] if one else [])] if event.level != "chest" else []
    told = plain[-1]
    plain += ["[raise] a hand", "[lift] an arm"] if one and event.level != "chest" else []
    if event.lowered:
        plain.append(f"{told} and [lower] {'it' if one else 'them'} again")
    return plain


def _wave(event: Wave) -> list[str]:
    if event.side == "both":
        return [
            "[wave] with both hands",
            "[wave] both hands",
            "[wave]",
            "[hold] up both hands and [wave] them from side to side",
        ]
    hand = f"the {event.side} hand"
    return [
        f"[wave] with {hand}",
        f"[wave] {hand}",
        f"[hold] up {hand} and [wave] it from side to side",
        "[wave]",
        "[wave] with one hand",
        f"[greet] with a wave of {hand}",
    ]


def _punch(event: Punch) -> list[str]:
    if event.side is None:
        return ["[punch] forward", "[throw] a punch" if event.count == 1 else "[throw] punches"]
    hand = "both hands" if event.side == "both" else f"the {event.side} hand"
    plain = [f"[punch] with {hand}", f"[punch] forward with {hand}", f"[hit] out with {hand}"]
    if event.side != "both" and event.count == 1:
        plain.append(f"[throw] a {event.side} punch")
    plain.append("[throw] a punch" if event.count == 1 else "[throw] punches")
    if event.count and event.count > 1:
        plain.append(f"[punch] {times(event.count)} with {hand}")
    return plain


def _clap(event: Clap) -> list[str]:
    return ["[clap]", "[clap] the hands", "[applaud]", "[clap] the hands in front of the body several times"]


def _arms_out(event: ArmsOut) -> list[str]:
    return [
        "[stretch] both arms out to the sides",
        "[hold] the arms out sideways",
        "[spread] the arms wide to the sides",
    ]


def _hips(event: HandsOnHips) -> list[str]:
    return ["[put] the hands on the hips", "[rest] both hands on the hips"]


def _kick(event: Kick) -> list[str]:
    ways = {"forward": " forward", "sideways": " to the side"}
    way = ways.get(event.direction or "", "")
    often = f" {times(event.count)}" if event.count > 1 else ""
    if event.side == "both":
        return [f"[kick]{way} with both legs, one after the other", f"[kick]{way}{often}"]
    plain = [f"[kick]{way} with the {event.side} foot", f"[kick] with the {event.side} leg"]
    plain += [f"[kick] out the {event.side} leg", f"[kick]{way}", "[kick] with one leg"]
    if often:
        plain.append(f"[kick]{way} {often.strip()} with the {event.side} foot")
    if event.height == "high":
        plain.append(f"[kick] high{way} with the {event.side} leg{often}")
    return plain


def _knee(event: KneeLift) -> list[str]:
    if event.side == "both":
        return ["[lift] the knees high, one after the other", "[raise] the knees to the height of the hips in turn"]
    often = f" {times(event.count)}" if event.count > 1 else ""
    knee = f"the {event.side} knee"
    return [
        f"[lift] {knee} high",
        f"[raise] {knee}",
        "[lift] a knee",
        "[raise] one knee",
        f"[raise] {knee} to the height of the hip{often}",
        f"[bring] {knee} up",
    ]


def _leg(event: LegRaise) -> list[str]:
    way = {"forward": "forward", "sideways": "out to the side", "backward": "backward"}[event.direction]
    return [
        f"[raise] the {event.side} leg {way}",
        f"[raise] a leg {way}",
        f"[lift] the straight {event.side} leg {way} slowly",
    ]


def _balance(event: Balance) -> list[str]:
    return [
        f"[stand] on the {event.side} foot",
        f"[stand] on the {event.side} leg",
        f"[balance] on the {event.side} leg",
        "[stand] on one leg",
        "[balance] on one foot",
        f"[stand] on one leg, the {event.side} one",
    ]


def _lunge(event: Lunge) -> list[str]:
    if event.side == "both":
        return ["[lunge] with one leg and then with the other", f"[lunge] {times(event.count)}"]
    often = f" {times(event.count)}" if event.count > 1 else ""
    return [
        f"[lunge] with the {event.side} leg in front",
        "[lunge]",
        "[lunge] forward",
        f"[lunge] forward onto a bent {event.side} knee{often}",
    ]


def _squat(event: Squat) -> list[str]:
    often = f" {times(event.count)}" if event.count > 1 else ""
    plain = (
        [f"[squat] down and [stand] up again{often}"] if often else ["[squat]", "[squat] down and [stand] up again"]
    )
    plain += [] if often else ["[sink] into a squat and [rise]"]
    if event.deep is not None:
        kind = "deep" if event.deep else "shallow"
        some = f"{number(event.count)} {kind} squats" if often else f"a {kind} squat"
        plain.append(f"[do] {some}")
    return plain


def _bend(event: Bend) -> list[str]:
    back = " and [straighten] up again" if event.straightens else ""
    often = f" {times(event.count)}" if event.count > 1 else ""
    if not event.begun:
        up = ["[straighten] up", "[straighten] up from a bend", "[rise] from a bent position"]
        return (
            up if event.straightens else ["[stay] bent forward", "[stand] bent over", "[bend] forward and [stay] down"]
        )
    if event.direction == "forward":
        return [
            f"[bend] forward{often}",
            f"[bend] over{often}",
            f"[bend] down{often}",
            f"[bend] the upper body forward{back}",
        ]
    side = event.direction
    return [
        f"[lean] to the {side}",
        "[lean] to one side",
        "[bend] sideways",
        f"[bend] sideways to the {side}{often}",
        f"[lean] the upper body to the {side}{back}",
    ]


_DOWN = {
    "sitting": ["[sit] down", "[sit] down on a seat", "[take] a seat"],
    "sitting on the floor": ["[sit] down on the floor", "[sit] down"],
    "kneeling": ["[kneel] down", "[go] down on both knees", "[kneel]"],
    "on one knee": ["[go] down on one knee", "[kneel] down on one knee"],
    "on hands and knees": ["[go] down on hands and knees", "[get] down on all fours"],
    "lying": ["[lie] down", "[lie] down on the floor", "[go] down to the floor and [lie] there"],
    "crouching": ["[crouch] down", "[bend] the knees and [crouch]"],
}
_UP = {
    "sitting": ["[stand] up", "[get] up from a seat", "[stand] up from sitting"],
    "sitting on the floor": ["[get] up from the floor", "[stand] up"],
    "kneeling": ["[stand] up", "[stand] up from kneeling"],
    "on one knee": ["[stand] up", "[stand] up from one knee"],
    "on hands and knees": ["[stand] up", "[stand] up from hands and knees"],
    "lying": ["[get] up", "[get] up from the floor and [stand]", "[rise] from the floor"],
    "crouching": ["[rise] from a crouch", "[straighten] up from a crouch"],
}
_HEIGHT = ("lying", "sitting on the floor", "on hands and knees", "kneeling", "on one knee", "crouching", "standing")


def _change(event: PostureChange) -> list[str]:
    if event.after == "standing":
        return _UP.get(event.before, [])
    if event.before == "standing":
        return _DOWN.get(event.after, [])
    if event.before not in _HEIGHT or event.after not in _HEIGHT:
        return []
    if event.after == "lying":
        return _DOWN["lying"]
    if event.after == "on hands and knees":
        up = event.before in ("lying", "sitting on the floor")
        return ["[get] up on hands and knees", "[rise] onto hands and knees"] if up else _DOWN[event.after]
    if event.before == "lying" and event.after == "sitting on the floor":
        return ["[sit] up", "[sit] up on the floor"]
    return []


_SAY = {
    Travel: _travel,
    Turn: _turn,
    Stop: _stop,
    Jump: _jump,
    HandRaise: _raise,
    Wave: _wave,
    Punch: _punch,
    Clap: _clap,
    ArmsOut: _arms_out,
    HandsOnHips: _hips,
    Kick: _kick,
    KneeLift: _knee,
    LegRaise: _leg,
    Lunge: _lunge,
    Balance: _balance,
    Squat: _squat,
    Bend: _bend,
    PostureChange: _change,
}
