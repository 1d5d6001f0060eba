"""Generation releases, models with prompts: which answers, how people move them, and who remembers them."""
