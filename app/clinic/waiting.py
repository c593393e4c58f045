"""Words that let an animal wait, make light of an emergency, or have it made to vomit; in six languages."""

from __future__ import annotations

import re
from functools import cache

from app.clinic.lexicon import folded, scan, vocabulary
from app.clinic.tone import NEGATORS, is_quoted

ADVICE = vocabulary(
    "vomit vomits vomiting emesis throw throws puke pukes vomite vomitar vomito erbrechen vomir wait waits urgent "
    "emergency deferred postponed delayed tomorrow overnight home own itself selbst warten before intervention "
    "treatment need reason off monday"
)
"""Without one of these words nothing is said of vomiting or of waiting."""
ALERTING = vocabulary(
    "wait waiting tomorrow tonight overnight monday harmless fine safe okay ok unlikely worry worried nothing normal "
    "gas home urgent emergency withheld rest sleep harm harmed pass recover settle need needed needs watch monitor "
    "observe delay later days unconcerned relax calm serious dangerous enough mild minor "
    "morgen abwarten warten unbedenklich harmlos keine nichts beobachten dringend ungefahrlich "
    "manana esperar espere tranquilo tranquila preocupe preocupes pasado vigilarlo vigilarla inofensivo urgente grave "
    "observar observarlo peligroso faible tale "
    "attendre attendez demain inquietez danger surveiller "
    "amanha aguarde \u7b49 \u660e \u6ca1 \u4e0d \u65e0"
)
"""Words that an answer to an emergency is held for until its sentence ends: it may be told to wait."""
_UNTRUE = vocabulary("wrong myth false untrue mistaken incorrect falsch falso faux mito mythe")
_GRANTED = vocabulary(
    "if even although though whether unless until when while despite wenn falls obwohl auch si aunque meme se"
)

_VOMITS = (
    r"(?:make|making|get|getting|have)\b(?:\s+[\w'-]+){1,4}?\s+(?:to\s+)?(?:vomit|throw up|puke)",
    r"until (?:he|she|it|they) (?:vomits?|throws? up|pukes?)",
    r"(?:para que|haga(?:lo|la)?|hacer(?:lo|la)?|provocar?(?:le)?|inducir) (?:\w+ )?(?:vomit\w+|el vomito)",
    r"(?:zum erbrechen bringen|erbrechen (?:auslosen|herbeifuhren)|faire vomir|faites-le vomir|fazer vomitar)",
    r"(?:induce|inducing|trigger|provoke|force)\b(?:\s+[\w'-]+){0,3}?\s+(?:vomiting|emesis)",
)
_DAY = r"(?:tomorrow|monday|the (?:weekend|morning)|next week)"
_FEW = r"(?:a|the next|one|two|three|a few|several|a couple of|[0-9]+)"
_WAITS = (
    r"(?:can|could|may|might|just|simply) (?:safely |easily |well |probably )?wait\b"
    r"(?! (?:until|till) (?:the (?!morning|weekend|evening)|s?he|it|your|you|after))",
    r"safely wait",
    r"wait and see",
    r"wait (?:until|till) (?:monday|tomorrow|morning|the (?:morning|weekend)|next|after the weekend|your)",
    r"wait (?:a|an|one|two|three|four|five|several|some|another|[0-9]+)(?: few| couple of)?(?: or \w+| to \w+)?"
    r" (?:more )?(?:days?|nights?|weeks?)",
    r"no (?:need|reason) to (?:rush|hurry|see a vet|call(?! (?:first|ahead|before))|go|visit)",
    r"(?:watch|monitor|observe) (?:him|her|it|them|the \w+) (?:at home|overnight)",
    r"for (?:a few|a couple of|two|three|several|[0-9]+) (?:days?|weeks?) before (?:going|calling|seeing|you)",
    r"(?:resolve|pass|clear|settle|start|stop|heal|go away|get better)s?\b[^.;]{0,24}"
    r"\b(?:on (?:its|his|her|their) own|by itself|von selbst)",
    r"(?:not|isn't|hardly) (?:an? )?(?:urgent|emergency)",
    r"(?:deferred|postponed|delayed|put off) (?:until|till|to)",
    r"no (?:intervention|treatment) (?:is )?(?:needed|necessary|required|indicated)",
    r"(?:re-?examine|recheck|call (?:your|the) (?:regular )?vet) tomorrow",
    r"by tomorrow (?:morning|afternoon|evening)",
    r"warten sie (?:ruhig )?(?:noch |ein |zwei |bis )",
)
_REASSURES = (
    # English: it is nothing
    r"(?:is|are|was|it's|that's|be|seems|looks|stays|remains|perfectly|totally|completely|quite|generally|usually)"
    r" (?:\w+ )?(?:harmless|nothing (?:serious|to worry)|no (?:big )?(?:problem|concern|danger|emergency|cause for)"
    r"|not (?:\w+ )?(?:serious|dangerous|toxic|poisonous|urgent|an? (?:\w+ )?emergency|a (?:concern|problem|worry)))",
    r"(?:he|she|it|they)(?:'s|'ll be| is| are| will be) (?:\w+ )?(?:fine|ok|okay|safe|alright|out of danger)",
    r"nothing (?:to (?:worry|fear|do|be done)|needs? (?:to be )?(?:done|doing)|serious|bad)",
    r"(?:toxicity|poisoning|problems?|harm|serious effects?|side effects?|complications?|signs)"
    r" (?:is|are|seems?) (?:very |most )?unlikely",
    r"unlikely (?:to (?:harm|hurt|be (?:toxic|dangerous|harmful|serious|a problem)|cause|do (?:any )?(?:harm|damage)"
    r"|affect|need)|(?:a|any) problem)",
    # nobody need do anything
    r"(?:no|any|little|without|zero) (?:real |immediate |further |special )?"
    r"(?:need(?! to (?:call|ring|phone) (?:first|ahead|before))|reason|cause|urgency|hurry|rush|worries)",
    r"(?:don't|do not|needn't|need not|doesn't|does not|won't|will not|shouldn't|should not|didn't|did not|isn't|hardly"
    r"|clearly not) (?:really |even )?(?:need|have|require|worry|panic|call for|be (?:worried|alarmed|concerned)|harm"
    r"|hurt|affect|cause (?:any|serious)|necessary|needed|cause problems|urgent)",
    r"(?:can|may|could) (?:be )?(?:withheld|skipped|omitted|left (?:out|until|for)|postponed|deferred|delayed)",
    # later is soon enough
    r"(?:rest|sleep(?: it off)?|settle|calm down|recover|walk it off|ride it out) (?:\w+ ){0,3}"
    r"(?:tonight|overnight|until|at home|for now)",
    rf"(?:by|before|until|till|wait for|see (?:him|her|it|them)) {_DAY}",
    r"(?:tomorrow|on monday|next week|in (?:a few|two|three|several|a couple of) days)\b(?: \w+){0,3} (?:is|will be) "
    r"(?:fine|soon enough|early enough|enough|ok|okay)",
    r"(?:call|see|visit|ring|book)(?: \w+){0,6} (?:tomorrow|on monday|next week|in the morning|after the weekend)",
    rf"(?:watch|monitor|observe|keep an eye on|keep watching)\b(?: \w+){{0,5}} (?:at home|overnight|for {_FEW}|until"
    r"|tonight)",
    r"nothing to lose sleep over|old wives'? tale|sleep it off",
    r"check (?:his|her|the|its|their) (?:stools?|poo|droppings|motions) (?:over|for|in)",
    r"(?:will|should|would|usually|normally|often) (?:just |simply |probably |usually )?"
    r"(?:pass|resolve|settle|clear up|wear off|recover|get over it|be (?:fine|ok|okay|alright))",
    # German
    r"(?:keine sorge|unbedenklich|harmlos|ungefahrlich|nichts (?:unternehmen|tun|zu befurchten)|kein (?:grund|notfall)"
    r"|nicht (?:giftig|gefahrlich|dringend|notig|schlimm)|bis (?:morgen|montag)|(?:kann|konnen) (?:\w+ )?warten"
    r"|abwarten|zu hause beobachten)",
    # Spanish
    r"(?:no se preocupe|no te preocupes|no (?:es|son) (?:\w+ )?"
    r"(?:urgente|grave|toxic[oa]s?|peligros[oa]s?|una emergencia)|inofensiv[oa]s?|puede esperar"
    r"|espere (?:hasta|unos|dos|tres|a)|hasta manana|no (?:hace falta|es necesario|necesita)"
    r"|(?:observar|vigilar)(?:lo|la)? en casa|lo peor ha pasado)",
    # French
    r"(?:ne vous inquietez pas|pas (?:urgent|grave|toxique|dangereux|besoin|necessaire)|sans danger|peut attendre"
    r"|attendre (?:demain|lundi|quelques)|inoffensif|surveiller a la maison|trop faible pour)",
    # Portuguese
    r"(?:nao se preocupe|nao e (?:urgente|grave|toxico|perigoso)|pode esperar|espere ate|ate amanha|observar em casa)",
)
_CHINESE = (
    r"\u4e0d\u7528\u62c5\u5fc3|\u6ca1\u5173\u7cfb|\u4e0d\u7528(?:\u53bb|\u770b)|\u660e\u5929\u518d|\u6ca1\u6709\u6bd2"
    r"|\u65e0\u6bd2|\u518d\u7b49|\u7b49\u5230"
)


@cache
def _any_of(patterns: tuple[str, ...], more: str = "") -> re.Pattern[str]:
    """One expression of all; made when first needed, since the start must not wait for it."""
    return re.compile("|".join([*(rf"\b{one}\b" for one in patterns), *([more] if more else ())]))


def makes_vomit(text: str) -> bool:
    """Whether words have an animal made to vomit, and do not forbid it."""
    return _said(_any_of(_VOMITS), folded(text))


def lets_wait(text: str) -> bool:
    """Whether words put something off."""
    return _said(_any_of(_WAITS), folded(text))


def without_delay(text: str) -> str:
    """The words but those that let something wait, so that what they let wait isn't taken as denied: `no need to`."""
    return _any_of(_REASSURES, _CHINESE).sub(" ", _any_of(_WAITS).sub(" ", folded(text)))


def _said(pattern: re.Pattern[str], low: str) -> bool:
    """Whether words stand there without a negation before them in their part of the sentence."""
    found = pattern.search(low)
    if found is None:
        return False
    begin = max(low.rfind(mark, 0, found.start()) for mark in (",", ";", ":", "but", "and")) + 1
    return found[0].startswith("no ") or NEGATORS.isdisjoint(scan(low[begin : found.end()])[0])


def reassures(text: str) -> bool:
    """Whether words let an emergency wait, or call it none; not where they are denied, granted or only reported."""
    low = folded(text)
    if not _UNTRUE.isdisjoint(scan(low)[0]):
        return False
    for found in _any_of(_REASSURES, _CHINESE).finditer(low):
        place = found.start()
        begin = max(low.rfind(mark, 0, place) for mark in (".", ",", ";", ":", "\n", "(", " but ", " and ")) + 1
        before = scan(low[begin:place])[0]
        opening = scan(low[max(low.rfind(mark, 0, place) for mark in (".", ";", "\n")) + 1 : place])[0]
        if not (NEGATORS.isdisjoint(before) and _GRANTED.isdisjoint(before)) or (
            opening[:1] and opening[0] in _GRANTED
        ):
            continue
        if not is_quoted(text, place, scan(low[:place])[0]):
            return True
    return False
