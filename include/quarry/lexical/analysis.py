"""How text becomes words: one analyser for what is indexed and for what is asked."""

import tantivy

# Longer tokens are hashes, base64 and the like; nobody types them, and each would cost a dictionary entry.
_LONGEST_WORD_BYTES = 64
_LANGUAGES = {"en": "english"}
# tantivy's own list (Lucene's 33 words) keeps what questions are made of. Without these words BM25 gained nDCG@10 on
# each of three judged sets: Cranfield .373 -> .384, Vaswani .437 -> .441, XQuAD .969 -> .971.
_QUESTION_WORDS = {
    "en": "what which how why when where who whom do does did has have had can could would should been being from "
    "any some",
}


def analyser(language: str) -> tantivy.TextAnalyzer:
    """Splits at what is neither letter nor digit, folds case and accents, drops stop and question words, stems."""
    name = _LANGUAGES[language]
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_LONGEST_WORD_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stopword(name))
        .filter(tantivy.Filter.custom_stopword(_QUESTION_WORDS[language].split()))
        .filter(tantivy.Filter.stemmer(name))
        .build()
    )
