"""The families of instructions: the rule of each, and the captions of real clips that show it.

A new family is one entry here and a rule. The patterns were written for the set `cmu_text_motion`.
"""

import functools

from motionmillion.eval.instructions import limbs, order, posture, travel
from motionmillion.eval.instructions.family import Family, sided

_STAND = r"(stands( still)?(, | and then ))?"
_THEN = r"( and then stands( still)?)?$"
_ODD = r"danc|swim|climb|upside|cartwheel|\broll|handstand|flip|acroba|beam|skat|monkey|animal|like a"
_LOW = ("squat", "bend_forward", "pick_up", "kneel", "crawl", "get_up", "lie_down", "jump")

_TRAVEL = (
    Family(
        "walk_forward",
        travel.walk_forward,
        rf"^a person {_STAND}walks (slowly )?forward{_THEN}",
        rf"turn|{_ODD}|run|jog|stairs|sit|backward|jump|sideways|circle|curv|around",
        related=("walk_slow", "walk_fast", "walk_then_stop", "walk_raise", "walk_wave", "curve", "walk_then_jump"),
    ),
    Family(
        "walk_backward",
        travel.walk_backward,
        r"^walk backwards?\b|(person|man|woman|someone) (walks|steps) backwards?\b",
        r"walk\w* [^,]*(?<!back)forward|^walk (?!back)|turn|dribbl|back and forth|karate|jump|"
        rf"{_ODD}|sideways|circle|curve",
    ),
    *sided(
        "side_step",
        travel.side_step,
        r"^(walk|step|side ?step|shuffle)\w* (sideways )?(to the )?{side}$|^a person "
        + _STAND
        + r"walks (slowly )?sideways to the {side}"
        + _THEN,
        rf"turn|{_ODD}|run|jog|jump|to the {{other}}|then (walk|run|step)|back and forth|side to side",
    ),
    *sided(
        "turn",
        travel.turn_side,
        r"^turn (to the )?{side}( in place| on the spot)?$|^a person "
        + _STAND
        + r"turns to the {side} in place"
        + _THEN,
        rf"walk|{_ODD}|jump|around|circle|turn\w* (to the )?{{other}}|run|jog|mop|golf|traffic|rhyme|"
        r"mime|gestur|swing|\bact|step (right|left)",
        related=("turn_around",),
    ),
    Family(
        "turn_around",
        travel.turn_around,
        rf"^a person {_STAND}turns around( to the (left|right))? in place{_THEN}|^turn around( and "
        r"stop| to the \w+)?$",
        rf"{_ODD}|circle|run|jog|twice|full|jump|again|all the way|walks (?!turn)",
        related=("walk_then_turn_around", "turn_around_then_walk", "curve"),
    ),
    *sided(
        "curve",
        travel.curve,
        r"^a person " + _STAND + r"walks (slowly )?forward, turning (around to the )?{side}" + _THEN,
        rf"(turn|curv|veer|bear|back)\w* (sharply )?(around )?(to the )?{{other}}|{_ODD}|run|jog|sideways",
        related=(
            "circle",
            "walk_fast",
            "walk_slow",
            "walk_then_stop",
            "walk_then_turn_around",
            "walk_forward",
            "turn_around_then_walk",
        ),
    ),
    Family(
        "circle",
        travel.circle,
        r"^walk in a (\w+ )?circle|walks [^,]*in a (\w+ )?circle",
        rf"{_ODD}|half|backward|eight",
        related=("curve", "run"),
    ),
    Family(
        "run",
        travel.run,
        r"^(run|jog|sprint)( forward| ahead| straight| fast| straight ahead)?$|^a person "
        rf"{_STAND}(runs|jogs) forward{_THEN}",
        rf"turn|{_ODD}|jump|leap|in place|on the spot|walk",
        related=("circle",),
    ),
    Family(
        "walk_slow",
        travel.walk_slow,
        rf"^a person {_STAND}walks slowly forward{_THEN}",
        rf"turn|{_ODD}|run|jog|stairs|sit|backward|jump|sideways|circle|around",
        related=("walk_forward", "curve", "walk_then_stop", "walk_raise", "walk_wave"),
    ),
    Family(
        "walk_fast",
        travel.walk_fast,
        r"^walk (forward )?(fast|quickly|briskly|hurriedly)|walks (forward )?(fast|quickly|briskly)",
        rf"turn|{_ODD}|run|jog|slow|backward|around|circle",
        related=("walk_forward", "curve", "run", "walk_then_stop", "walk_then_jump", "circle"),
    ),
    Family(
        "walk_then_stop",
        travel.walk_then_stop,
        r"^walk (forward )?(and|then|, then) (stop|halt|stand)|walks (\w+ )?forward(,| and)( then)? "
        r"(stops|stands|halts)",
        rf"turn|{_ODD}|run|jog|slow|backward|around|circle|sit|sideways",
        related=(
            "walk_forward",
            "walk_slow",
            "walk_fast",
            "curve",
            "walk_raise",
            "walk_wave",
            "walk_then_sit",
            "walk_then_turn_around",
            "jump_then_walk",
            "walk_then_jump",
        ),
    ),  # fmt: skip
)

_LIMB = (
    *sided(
        "raise",
        limbs.raise_hand,
        r"(raise|lift)s? (up )?(the |his |her )?{side} (hand|arm)( up| high| overhead| above|,|$)|"
        r"^a person stands (moving the {side} arm )?with the {side} hand raised$",
        rf"both|(rais|lift)\w* (the |his |her )?{{other}}|the {{other}} one|{{other}} (hand|arm) "
        rf"raised|each|{_ODD}|arms up",
        related=("walk_raise", "walk_wave", "wave", "raise", "punch"),
    ),
    Family(
        "raise_both",
        limbs.raise_both,
        r"(raises?|lifts?|raising|lifting|holds?) both (hands|arms) (\w+ )?(overhead|up|above|high|in the air)",
        rf"{_ODD}|bend|lean|sit|jump",
        related=("walk_raise_both", "raise", "walk_wave", "wave", "jump", "clap"),
    ),
    *sided(
        "wave",
        limbs.wave,
        r"\bwav(e|es|ing)[^,]* {side} (hand|arm)|{side} (hand|arm)[^,]*\bwav(e|es|ing)",
        rf"both|wav\w+[^,]* {{other}}|{{other}} (hand|arm)[^,]*\bwav|{_ODD}|each|then the {{other}}",
        related=("walk_wave", "raise"),
    ),
    *sided(
        "punch",
        limbs.punch,
        r"punch\w* [^,]*with the {side}|{side} (jab|punch)|punching the {side} (arm|fist|hand)|"
        r"^punch[^,]* {side} (arm|hand)",
        r"alternat|left and right|right and left|{other} (punch|jab|hook|fist)|punch[^,]*{other} (arm|hand|fist)|"
        rf"then (with )?(the |a )?{{other}}\b|each|{_ODD}",
    ),
    *sided(
        "kick",
        limbs.kick,
        r"kick\w* (\w+ ){{0,3}}(with )?(the |his |her )?{side} (leg|foot)|\bkicks? (the )?{side}\b|"
        r"{side} (leg|foot) kick",
        rf"kick\w*[^,]* {{other}}|then (with )?the {{other}}|{_ODD}|alternat|ly(ing|es)|floor|hang|"
        r"each|legs|heels|push|glide|trip|skip|leap|jump|step right|step left",
        related=("lift_knee",),
    ),
    *sided(
        "lift_knee",
        limbs.lift_knee,
        r"(lift|rais|bring|pull)\w* (the |his |her )?{side} knee( up| high|$)|{side} knee (raised|lifted|up)",
        rf"{{other}} (knee|leg|foot)|alternat|march|{_ODD}|over|knees|step up|stair|stool|high on|"
        r"kick|\bsit|seated|skip|leap|warm",
        related=("stand_on", "kick", "hop"),
    ),
    *sided(
        "stand_on",
        limbs.stand_on,
        r"(stand|balanc)\w* (up )?on (the |his |her )?{side} (leg|foot)",
        rf"on (the |his |her )?{{other}} (leg|foot)|{_ODD}|hop|jump|hang|kick",
        related=("lift_knee", "hop", "kick"),
    ),
    *sided(
        "hop",
        limbs.hop,
        r"\bhop\w* (\w+ ){{0,4}}on (the |his |her )?{side} (foot|leg)|^hop on (the )?{side}",
        rf"on (the |his |her )?{{other}} (foot|leg)|{_ODD}|each|switch|hopscotch|turn|jog",
        related=("stand_on", "lift_knee"),
    ),
    Family(
        "jump_in_place",
        limbs.jump_in_place,
        r"^(jump|hop|leap)\w*( straight| high)? (up|in place|on the spot)|jumps (straight |high )?(up|in place)\b",
        rf"ahead|turn|{_ODD}|run|side|spin|rotat|around|bar\b|onto|off|kick|fall",
        related=("jump", "hop", "clap"),
    ),
    Family(
        "jump_forward",
        limbs.jump_forward,
        r"^(jump|hop|leap) (far |long )?forward|long jump|jumps forward|leaps forward",
        rf"turn|{_ODD}|walk|run|spin|rotat|one (leg|foot)|(left|right) (leg|foot)",
        related=("jump", "hop", "walk_then_jump"),
    ),
    *(
        Family(
            f"jump_{times.replace(' ', '_')}",
            functools.partial(limbs.jump_count, count=count),
            rf"\b(jump|hop|leap)\w* (\w+ )*({words})|\b{noun} (\w+ )?(jumps|hops|leaps)",
            rf"{_ODD}|turn|spin|rotat|one (leg|foot)|on the (left|right)|sideways|legs|apart{more}",
            related=("jump", "hop"),
        )
        for count, times, words, noun, more in (
            (2, "twice", "twice|two times", "two", "|three"),
            (3, "three times", "three times", "three", ""),
        )
    ),
    Family("clap", limbs.clap, r"\bclap(s|ping)?\b", r"swim|overhead"),
)

_POSTURE = (
    Family(
        "squat",
        posture.squat,
        r"\bsquats?\b( down| low|s|,|$)",
        rf"creep|sneak|limp|walk|jump|leap|\bsit|stool|chair|{_ODD}|kneel|knee|crawl|hop|throw|bends "
        r"forward|rises from",
        related=_LOW,
    ),
    Family(
        "bend_forward",
        posture.bend_forward,
        r"touch\w* (the |his |her )?(toes|floor|ground|feet)|^bend (down|far|at the waist)|bends "
        r"(down|far|deeply|all the way)|"
        r"\bbend\w* (\w+ )*(to|toward) the (floor|ground|toes|feet)",
        rf"{_ODD}|mop|sweep|screw|knees|sit|jump|squat|crouch|kneel|stool|slightly|bounce|dribbl|"
        r"back and forth|crawl",
        related=_LOW,
    ),
    Family(
        "pick_up",
        posture.pick_up,
        r"^pick (something|\w+|an? \w+|the \w+)? ?up|picks? (\w+ )*(from|off) the (floor|ground)|"
        r"bends? (down|over) (and|to) (pick|grab|lift)|^pick up",
        rf"{_ODD}|\bsit|phone|dial|jump|throw|shelf|table|suitcase|stool|umbrella|baby|picture|walk off|drunk",
        related=_LOW,
    ),
    Family(
        "sit_down",
        posture.sit_down,
        r"^sit down|\bsits? down\b",
        rf"{_ODD}|stands? up|gets? up|rise|rising|stand up|again|twice|floor|ground|up and|sitting|bar|jump",
        related=("sit", "walk_then_sit", "squat"),
    ),
    Family(
        "sit",
        posture.sit,
        r"^sit\b(?! down)|^(a person|someone|a man|he|she|a woman) sits (?!down)",
        rf"{_ODD}|stands? |gets? |rise|rising|walk|sits? down|squat|dog|jump|steps|motorcycle|hang|"
        r"bar\b|up high|handle",
        related=("sit_down", "walk_then_sit", "stand_up", "squat"),
    ),
    Family(
        "stand_up",
        posture.stand_up,
        r"^(stand|get) up\b|^(a person|someone|a man|he|she|a woman) (stands|gets) up (from|off)|"
        r"rises from (a|the) (\w+ )?(stool|chair|seat)",
        rf"sits? down|sits? again|back down|{_ODD}|then sit|lean|duck|hands and knees|from the floor|from bending",
        related=("get_up", "kneel", "sit", "squat", "pick_up"),
    ),
    Family(
        "kneel",
        posture.kneel,
        r"\bkneel|on (one|the (left|right)|both|his|her) knees?\b",
        rf"{_ODD}|crawl|hands and knees|all fours|hands on",
        related=("crawl", "get_up"),
    ),
    Family(
        "lie_down",
        posture.lie_down,
        r"^(lie|lay) down|\blies down\b|lowers? (\w+ )*to lie|falls? (\w+ )*(down|to the ground)$",
        rf"{_ODD}|gets? up|stands? up|rises",
        related=("get_up",),
    ),
    Family(
        "get_up",
        posture.get_up,
        r"gets? up (from|off) (the )?(floor|ground|lying|all fours)|from lying|^get up$|rises? from "
        r"the (floor|ground)",
        rf"{_ODD}|stool|chair|seat|lies? down",
        related=("stand_up", "kneel", "crawl"),
    ),
    Family(
        "crawl",
        posture.crawl,
        r"\bcrawl(s|ing)?\b",
        rf"swim|front crawl|stroke|{_ODD}",
        related=("kneel", "get_up"),
    ),
    Family(
        "stand_still",
        posture.stand_still,
        r"^stand still( and wait)?$|^a person stands still$|stands? (completely|perfectly|quite) "
        r"still|^stand quietly$",
        rf"{_ODD}|rais|lift|bend|turn|lean|walk|sway|wav|swing|step|look",
    ),
)

_ORDER = (
    Family(
        "walk_then_turn_around",
        order.walk_then_turn_around,
        r"^a person (stands( still)?, )?walks (slowly )?forward(, curving slightly to the \w+)?( "
        r"and then|,) turns around "
        rf"to the (left|right) in place{_THEN}|^walk( forward)?(,| and| then|, then|, and) turn "
        r"around( and stop| right| left)?$",
        rf"{_ODD}|run|jog|back and|sit",
        related=("curve", "circle", "turn_around"),
    ),
    Family(
        "turn_around_then_walk",
        order.turn_around_then_walk,
        r"^a person (stands( still)?, )?turns around to the (left|right) in place( and then|,) "
        r"walks (slowly )?forward"
        rf"(, curving slightly to the \w+)?{_THEN}|^turn around(,| and| then|, then) walk",
        rf"{_ODD}|run|jog",
        related=("curve", "circle", "turn_around"),
    ),
    Family(
        "walk_then_sit",
        order.walk_then_sit,
        r"^walk (\w+ )*(and|then|, then) sit|walks (\w+,? )*(and|then) sits",
        rf"{_ODD}|gets? up|stands? up|again|rise|rising|up and",
        related=("sit_down", "sit"),
    ),
    *sided(
        "raise_first",
        order.raise_in_order,
        r"(rais|lift)\w+ the {side} (arm|hand)[^,]*,? (and )?then the {other}|"
        r"(rais|lift)\w+ the {side} (arm|hand)[^,]*, (then )?(rais|lift)\w+ the {other}",
        rf"{_ODD}|knee|leg",
        related=("raise", "wave"),
    ),
    Family(
        "jump_then_walk",
        order.jump_then_walk,
        r"^(jump|hop|leap)[^.]*(,| and| then) walk|^(someone|a \w+) jumps (\w+ )*(and|then|and "
        r"then) walks (?!back)",
        rf"{_ODD}|^walk|turn|stool|walks? back",
        related=("jump",),
    ),
    Family(
        "walk_then_jump",
        order.walk_then_jump,
        r"^(walk|step|run) [^.]*(and|then) (jump|leap|hop)|^(someone|a (man|woman)) (walks|runs) "
        r"(\w+ )*(and|then|and then) (jumps|leaps|hops)",
        rf"{_ODD}|turn",
        related=("jump", "hop"),
    ),
    *sided(
        "walk_raise",
        order.walk_with_hand,
        r"walks (slowly )?forward(, curving slightly to the \w+)? with the {side} hand raised",
        rf"{{other}} hand raised|both|{_ODD}|then walks|wav",
        related=("raise", "wave", "walk_wave"),
    ),
    Family(
        "walk_raise_both",
        order.walk_with_both,
        r"walks (slowly )?forward(, curving slightly to the \w+)? with both hands raised|walk\w* "
        r"(forward |ahead )?with (both )?(arms|hands) (up|raised|high|overhead)",
        rf"{_ODD}|then walks (slowly )?forward$",
        related=("raise", "wave", "walk_wave", "walk_raise"),
    ),
    *sided(
        "walk_wave",
        order.walk_and_wave,
        r"walk\w* [^,]*wav(es|ing) (\w+ )*{side}",
        rf"{_ODD}|wav\w+ (\w+ )*{{other}}",
        related=("raise", "wave", "walk_raise"),
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in (*_TRAVEL, *_LIMB, *_POSTURE, *_ORDER)}
"""Every family by its name."""
