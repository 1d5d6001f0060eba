"""How people list, build and move index versions: a command line and the HTTP API over the same verbs."""
