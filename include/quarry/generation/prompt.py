"""Builds the chat prompt: a few numbered passages and the question, within a budget of tokens.

The wording is data (`include/prompts/answer.md`): the part above the line `---` is the system message, the part below
it the user's, with `$passages` and `$question` in it. Passages enter by their trustworthy sentences only, the most
relevant ones where not all fit, and nothing in them can pass for a turn of the chat.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template

from include.quarry.errors import InvalidInput, Misconfigured
from include.quarry.generation.evidence import Evidence, Statement
from include.quarry.generation.extractive import score_statement
from include.quarry.generation.protocol import Message
from include.quarry.generation.relevance import question_words

ANSWER_PROMPT = Path(__file__).parents[2] / "prompts" / "answer.md"

_CHAT_TOKENS = re.compile(r"<\|[^|<>]{0,40}\|?>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>", re.IGNORECASE)
_PIECE = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_|\n")
_CHAT_OVERHEAD_TOKENS = 24
_PLACES = {"passages", "question"}
_VERSION_DIGITS = 12

CountTokens = Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """An estimate, rather too high than too low, that holds for the byte-pair vocabularies in use (30k to 150k)."""
    return sum(1 + (len(piece) - 1) // 6 + (0 if piece.isascii() else len(piece)) for piece in _PIECE.findall(text))


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages, the passages that are in them, and the estimated length."""

    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The wording around the passages and the question."""

    system: str
    user: Template

    @classmethod
    def load(cls, path: Path = ANSWER_PROMPT) -> "PromptTemplate":
        """Read a template file. Raises `Misconfigured` when it lacks a part."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except (OSError, InvalidInput) as error:
            raise Misconfigured(f"prompt {path}: {error}") from error

    @classmethod
    def parse(cls, text: str) -> "PromptTemplate":
        """Read a template. Raises `InvalidInput` when it lacks a part, or asks for more than there is."""
        system, line, rest = text.replace("\r\n", "\n").partition("\n---\n")
        if not line:
            raise InvalidInput("a prompt needs a system part, a line '---', and a user part")
        user = Template(rest.strip())
        if not user.is_valid() or {*user.get_identifiers()} != _PLACES:
            raise InvalidInput(
                f"below the line '---' a prompt has $passages and $question and no other $name; this one has "
                f"{user.get_identifiers()}; a plain $ is written $$"
            )
        return cls(system.strip(), user)

    @property
    def text(self) -> str:
        """What `parse` reads."""
        return f"{self.system}\n---\n{self.user.template}\n"

    @property
    def version(self) -> str:
        """A name for this very wording: the beginning of its SHA-256."""
        return sha256(self.text.encode()).hexdigest()[:_VERSION_DIGITS]

    def build(
        self,
        question: str,
        evidence: Sequence[Evidence],
        *,
        budget_tokens: int,
        max_passages: int = 3,
        count_tokens: CountTokens = estimate_tokens,
    ) -> Prompt:
        """The prompt with as many of the first `max_passages` passages as fit `budget_tokens`, later ones cut first.

        Raises `InvalidInput` when not one sentence of a passage fits beside the question.
        """
        question = _defuse(" ".join(question.split()))
        fixed = count_tokens(self.system) + count_tokens(self.user.substitute(passages="", question=question))
        room = budget_tokens - fixed - _CHAT_OVERHEAD_TOKENS
        shown = _fit(question, evidence[:max_passages], room, count_tokens)
        if not shown:
            raise InvalidInput(
                f"the question takes {fixed + _CHAT_OVERHEAD_TOKENS} tokens of a prompt of {budget_tokens}, "
                "which leaves no room for a passage; ask in fewer words"
            )
        passages = "\n\n".join(text for _, text in shown)
        user = self.user.substitute(passages=passages, question=question)
        tokens = fixed + _CHAT_OVERHEAD_TOKENS + count_tokens(passages)
        return Prompt(
            (Message("system", self.system), Message("user", user)), tuple(passage for passage, _ in shown), tokens
        )


def _fit(
    question: str, evidence: Sequence[Evidence], room: int, count_tokens: CountTokens
) -> list[tuple[Evidence, str]]:
    """Passages with their texts; what the earlier ones leave over of their even share goes to the later ones."""
    shown: list[tuple[Evidence, str]] = []
    waiting = [passage for passage in evidence if passage.statements]
    for index, passage in enumerate(waiting):
        share = room // (len(waiting) - index)
        if text := _cut(question, passage, share, count_tokens) or (
            _cut(question, passage, room, count_tokens) if not shown else ""
        ):
            shown.append((passage, text))
            room -= count_tokens(text) + 2
    return shown


def _cut(question: str, passage: Evidence, room: int, count_tokens: CountTokens) -> str:
    """The passage's label and its most relevant sentences that fit, in the order of the text; empty if none does."""
    label = f"[{passage.marker}] {_defuse(passage.heading)}".strip() + "\n"
    room -= count_tokens(label)
    asked = question_words(question)
    ranked = sorted(passage.statements, key=lambda statement: -score_statement(question, asked, passage, statement))
    kept: list[Statement] = []
    for statement in ranked:
        cost = count_tokens(_defuse(statement.text)) + 1
        if cost <= room:
            kept.append(statement)
            room -= cost
    kept.sort(key=lambda statement: statement.start)
    return label + " ".join(_defuse(statement.text) for statement in kept) if kept else ""


def _defuse(text: str) -> str:
    """The text with the marks of chat templates broken, so that an engine reads them as plain characters."""
    return _CHAT_TOKENS.sub(lambda mark: " ".join(mark.group()), text)
