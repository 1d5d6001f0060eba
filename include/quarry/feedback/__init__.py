"""Feedback: what was asked, how it was rated, and what is learnt from it."""
