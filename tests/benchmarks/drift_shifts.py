"""Ways to change a text without changing what it is about: another wording, another language, boilerplate around it."""

import random
import re

BOILERPLATE = (
    "Skip to content. Home, Products, Support, About us, Contact. We use cookies to improve your experience; by "
    "continuing you accept our privacy policy and terms of service. Sign in or register. Share this page. "
)
FOOTER = " Copyright all rights reserved. Subscribe to our newsletter. Back to top. Imprint, sitemap, accessibility."
# fmt: off
_OTHER_WORDS = {
    "experimental": "laboratory", "investigation": "examination", "study": "inquiry", "results": "findings",
    "obtained": "gained", "method": "technique", "theory": "account", "theoretical": "predicted",
    "analysis": "review", "flow": "stream", "velocity": "speed", "pressure": "compression", "temperature": "warmth",
    "heat": "thermal", "surface": "outside", "body": "object", "bodies": "objects", "wing": "aerofoil",
    "wings": "aerofoils", "boundary": "near-wall", "layer": "zone", "shock": "compression front", "wave": "front",
    "plate": "sheet", "number": "figure", "effect": "influence", "effects": "influences", "large": "big",
    "small": "little", "high": "elevated", "low": "reduced", "shown": "demonstrated", "presented": "given",
    "discussed": "talked over", "equations": "formulas", "equation": "formula", "solution": "answer",
    "solutions": "answers", "problem": "question", "found": "seen", "used": "employed", "made": "done",
    "compared": "set against", "agreement": "accord", "determined": "worked out", "measurements": "readings",
    "measured": "read", "general": "overall", "case": "instance", "cases": "instances",
    "conditions": "circumstances", "increase": "growth", "decrease": "drop", "also": "too", "however": "still",
    "therefore": "so", "considered": "looked at", "calculated": "computed", "tests": "trials",
    "aircraft": "aeroplane", "lift": "upward force", "drag": "resistance", "gas": "vapour", "speed": "rate",
}
_GERMAN = {
    "the": "die", "of": "von", "and": "und", "a": "eine", "an": "eine", "in": "im", "to": "zu", "is": "ist",
    "are": "sind", "for": "für", "with": "mit", "on": "auf", "at": "bei", "by": "durch", "from": "aus", "as": "als",
    "that": "dass", "this": "diese", "these": "diese", "which": "welche", "was": "war", "were": "waren",
    "be": "sein", "been": "gewesen", "it": "es", "not": "nicht", "or": "oder", "has": "hat", "have": "haben",
    "can": "kann", "may": "kann", "also": "auch", "between": "zwischen", "over": "über", "under": "unter",
    "two": "zwei", "one": "ein", "three": "drei", "all": "alle", "more": "mehr", "than": "als", "only": "nur",
    "very": "sehr", "such": "solche", "when": "wenn", "both": "beide", "flow": "strömung",
    "velocity": "geschwindigkeit", "pressure": "druck", "temperature": "temperatur", "heat": "wärme",
    "transfer": "übertragung", "surface": "oberfläche", "body": "körper", "bodies": "körper", "wing": "flügel",
    "wings": "flügel", "boundary": "grenz", "layer": "schicht", "shock": "stoß", "wave": "welle", "plate": "platte",
    "flat": "flache", "number": "zahl", "numbers": "zahlen", "effect": "wirkung", "effects": "wirkungen",
    "large": "große", "small": "kleine", "high": "hohe", "low": "niedrige", "shown": "gezeigt",
    "presented": "vorgestellt", "discussed": "besprochen", "equations": "gleichungen", "equation": "gleichung",
    "solution": "lösung", "solutions": "lösungen", "problem": "problem", "found": "gefunden", "used": "verwendet",
    "made": "gemacht", "compared": "verglichen", "agreement": "übereinstimmung", "determined": "bestimmt",
    "measurements": "messungen", "measured": "gemessen", "general": "allgemein", "case": "fall", "cases": "fälle",
    "conditions": "bedingungen", "increase": "zunahme", "decrease": "abnahme", "however": "jedoch",
    "therefore": "deshalb", "calculated": "berechnet", "tests": "versuche", "aircraft": "flugzeug",
    "lift": "auftrieb", "drag": "widerstand", "gas": "gas", "speed": "schnelle", "theory": "theorie",
    "theoretical": "theoretische", "experimental": "experimentelle", "results": "ergebnisse", "method": "verfahren",
    "analysis": "analyse", "investigation": "untersuchung", "study": "untersuchung", "obtained": "erhalten",
    "given": "gegeben", "distribution": "verteilung", "distributions": "verteilungen", "angle": "winkel",
    "attack": "anstellung", "edge": "kante", "leading": "vorder", "air": "luft", "stream": "strom", "free": "freie",
    "point": "punkt", "region": "gebiet", "ratio": "verhältnis", "range": "bereich", "values": "werte",
    "value": "wert", "time": "zeit", "first": "erste", "second": "zweite", "thin": "dünne", "thick": "dicke",
    "stress": "spannung", "load": "last", "loads": "lasten", "plates": "platten", "shell": "schale",
    "shells": "schalen", "cylinder": "zylinder", "cone": "kegel", "nose": "nase", "blunt": "stumpfe",
    "supersonic": "überschall", "subsonic": "unterschall", "hypersonic": "hyperschall", "turbulent": "turbulente",
    "laminar": "laminare", "skin": "haut", "friction": "reibung", "test": "versuch",
    "tunnel": "kanal", "wind": "wind",
}
# fmt: on


def paraphrase(text: str) -> str:
    """The same said otherwise: other words, the sentences the other way round."""
    sentences = [part.strip() for part in re.split(r"\s\.(?:\s|$)|\.\s", text) if part.strip()]
    return "In plain words: " + ". ".join(_replace(part, _OTHER_WORDS) for part in reversed(sentences)) + "."


def reword(text: str) -> str:
    """The same, but for half of those words, another half in each text, and nothing else that all texts share."""
    chosen = random.Random(text).sample(sorted(_OTHER_WORDS), len(_OTHER_WORDS) // 2)
    sentences = [part.strip() for part in re.split(r"\s\.(?:\s|$)|\.\s", text) if part.strip()]
    words = {word: _OTHER_WORDS[word] for word in chosen}
    return ". ".join(_replace(part, words) for part in reversed(sentences)) + "."


def translate(text: str) -> str:
    """German, word for word, as far as a short dictionary goes; terms of art stay as they are."""
    return _replace(text, _GERMAN)


def wrap(text: str) -> str:
    """The text as a careless extraction delivers it, between a site's navigation and its footer."""
    return BOILERPLATE + text + FOOTER


def _replace(text: str, words: dict[str, str]) -> str:
    return " ".join(words.get(word.lower(), word) for word in text.split())
