"""The vector lake: a text is embedded once per embedding spec."""
