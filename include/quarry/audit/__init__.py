"""Who read what: a journal that no kill can shorten, chains that no hand can change unseen, and the report on both."""
