"""How text becomes words: one analyser for what is indexed and for what is asked."""

import tantivy

# Longer tokens are hashes, base64 and the like; nobody types them, and each would cost a dictionary entry.
_LONGEST_WORD_BYTES = 64
_LANGUAGES = {"en": "english"}


def analyser(language: str) -> tantivy.TextAnalyzer:
    """Splits at what is neither letter nor digit, folds case and accents, drops stop words, stems the rest."""
    name = _LANGUAGES[language]
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_LONGEST_WORD_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stopword(name))
        .filter(tantivy.Filter.stemmer(name))
        .build()
    )
