"""`python -m include.quarry.versions …` is `python -m include.quarry versions …`."""

import sys

from include.quarry.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["versions", *sys.argv[1:]]))
