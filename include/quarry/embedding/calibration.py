"""The texts that INT8 ranges are measured on. They are the same on every machine, so that one spec is one space."""

import re
from pydoc_data.topics import topics

_MIN_CHARS = 30


def calibration_texts(count: int) -> list[str]:
    """`count` paragraphs spread evenly over Python's own language reference, which every interpreter carries.

    English prose, tables and code of 10 to 250 tokens. Nothing is drawn by chance, downloaded, or read from a user.
    """
    paragraphs = [
        paragraph.strip()
        for topic in sorted(topics)
        for paragraph in re.split(r"\n\s*\n", topics[topic])
        if len(paragraph.strip()) > _MIN_CHARS
    ]
    return [paragraphs[i * (len(paragraphs) - 1) // max(count - 1, 1)] for i in range(count)]
